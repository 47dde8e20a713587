import Rules
import Testing

@Suite struct PathRewriteTests {
    @Test(
        "a prefix is replaced by whole segments",
        arguments: [
            (3, "/v2", "/v1/x?q=/v1", "/v2/x?q=/v1"), (3, "/v2", "/v1", "/v2"),
            (3, "/v2", "/v1?q", "/v2?q"), (3, "", "/v1/x", "/x"), (3, "", "/v1/", "/"),
            // No path is empty (RFC 9113, 8.3.1).
            (3, "", "/v1", "/"), (3, "", "/v1?q", "/?q"),
            (5, "/b.", "/a.b.C/M", "/b.C/M"), (0, "/a", "/x", "/a/x"), (9, "/a", "/x", "/a"),
        ])
    func prefix(count: Int, replacement: String, path: String, expected: String) {
        let rewrite = Rewrite.PathRewrite.prefix(count: count, with: Array(replacement.utf8))
        #expect(rewritten(path, by: rewrite) == expected)
    }

    @Test(
        "a whole path is replaced and its query stays",
        arguments: [
            ("/x", "/new"), ("/x?a=b?c", "/new?a=b?c"), ("/x?", "/new?"), ("/?q", "/new?q"),
        ])
    func full(path: String, expected: String) {
        #expect(rewritten(path, by: .full(Array("/new".utf8))) == expected)
    }

    private func rewritten(_ path: String, by rewrite: Rewrite.PathRewrite) -> String {
        var output: [UInt8] = []
        rewrite.append(rewriting: Array(path.utf8).span, to: &output)
        return String(decoding: output, as: UTF8.self)
    }
}
