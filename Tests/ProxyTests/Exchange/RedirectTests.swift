import Rules
import Testing

@testable import Proxy

@Suite struct RedirectTests {
    struct Change: Sendable {
        var scheme: String?
        var hostname: String?
        var port: UInt16?
        var path: Rewrite.PathRewrite?
    }

    @Test(
        "what a redirect does not change stays as it was asked for",
        arguments: [
            (Change(), "shop.example:8080", "/a?q", "http://shop.example:8080/a?q"),
            (Change(scheme: "https"), "shop.example:8080", "/a", "https://shop.example/a"),
            (Change(scheme: "https"), "[::1]:8080", "/", "https://[::1]/"),
            (Change(scheme: "https", port: 8443), "a:80", "/", "https://a:8443/"),
            (Change(port: 81), "[::1]:80", "/", "http://[::1]:81/"),
            (Change(hostname: "b.example"), "a:80", "/x?y", "http://b.example/x?y"),
            (Change(hostname: "b.example", port: 1), "a", "/", "http://b.example:1/"),
            (Change(path: .full(Array("/new".utf8))), "a", "/old?q", "http://a/new?q"),
            (
                Change(path: .prefix(count: 4, with: Array("/new".utf8))), "a", "/old/x",
                "http://a/new/x"
            ),
            (Change(path: .prefix(count: 4, with: [])), "a", "/old?q", "http://a/?q"),
        ])
    func location(change: Change, authority: String, path: String, expected: String) throws {
        let redirect = Redirect(
            status: 308, scheme: change.scheme.map { Array($0.utf8) },
            hostname: change.hostname.map { Array($0.utf8) }, port: change.port, path: change.path)
        // A `:authority`, or a host where a client sends that.
        for name in [":authority", "host"] {
            let fixture = try RequestFixture([
                (":method", "GET"), (name, authority), (":path", path),
            ])
            let location = redirect.location(of: fixture.exchange)
            #expect(String(decoding: location, as: UTF8.self) == expected)
        }
    }
}
