import TestKit

/// Of a request's and a response's header fields the other side hears exactly what the policy for
/// headers leaves of them, by a second, slow reading (`SlowHeaderPolicy`), or the message is
/// refused: and that only where something in it can be wrong.
///
/// The first byte chooses the listener and the route. Behind it are lines of `name: value`: of the
/// request's headers, then, each part behind a line with `-`, of the response's headers, of the
/// request's trailers, and of the response's.
enum HeaderPolicyProperty {
    private static let bytesMax = 8_000
    private static let linesMax = 24

    static func fault(_ bytes: [UInt8]) -> String? {
        let (mode, rest) = bytes.split()
        let listeners = FieldExchange.Listener.allCases
        let routes = FieldExchange.Route.allCases
        var exchange = FieldExchange(
            listeners[Int(mode & 15) % listeners.count], routes[Int(mode >> 4) % routes.count])
        let parts = parts(rest.prefix(bytesMax))
        exchange.requestHeaders = parts[0]
        exchange.responseHeaders = parts[1]
        exchange.requestTrailers = parts[2]
        exchange.responseTrailers = parts[3]
        switch exchange.run() {
        case .fault(let fault): return fault
        case .heard(let requests, let responses):
            guard requests.count <= 1, responses.count <= 1 else { return "one became several" }
            let policy = SlowHeaderPolicy(exchange)
            if let fault = requestFault(exchange, policy, requests.first) {
                return "the request's \(fault)"
            }
            if requests.isEmpty {
                let answer = responses.first?.headers ?? []
                return answer.allSatisfy(isWeirs) ? nil : "an answer is nobody's: \(answer)"
            }
            return responseFault(exchange, policy, responses.first).map { "the response's \($0)" }
        }
    }

    private static func parts(_ bytes: ArraySlice<UInt8>) -> [[RawField]] {
        var parts: [[RawField]] = [[]]
        for line in bytes.split(separator: 0x0a) {
            if line.elementsEqual("-".utf8) {
                parts.append([])
                continue
            }
            guard parts[parts.count - 1].count < linesMax else { continue }
            let colon = line.dropFirst().firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
            var value = line[colon...].dropFirst()
            if value.first == 0x20 { value = value.dropFirst() }
            parts[parts.count - 1].append(RawField(Array(line[..<colon]), Array(value)))
        }
        return parts + Array(repeating: [], count: max(0, 4 - parts.count))
    }

    private static func requestFault(
        _ exchange: FieldExchange, _ policy: SlowHeaderPolicy, _ heard: FieldExchange.Message?
    ) -> String? {
        let isPlain =
            exchange.requestHeaders.allSatisfy(SlowHeaderPolicy.isPlain)
            && exchange.requestTrailers.allSatisfy(SlowHeaderPolicy.isPlain)
        guard let heard else { return isPlain ? "headers are refused" : nil }
        var headers = heard.headers ?? []
        if policy.isTimed {
            guard headers.count > 4, headers.remove(at: 4).utf8.starts(with: "grpc-timeout: ".utf8)
            else { return "deadline is lost" }
        }
        let expected = policy.requestHeaders
        guard headers.prefix(4).sorted() == expected.prefix(4).sorted(),
            headers.dropFirst(4) == expected.dropFirst(4)
        else { return "headers are \(headers), and should be \(expected)" }
        let trailers = policy.requestTrailers
        guard heard.trailers == nil ? !isPlain || trailers.isEmpty : heard.trailers == trailers
        else { return "trailers are \(heard.trailers ?? []), and should be \(trailers)" }
        return nil
    }

    private static func responseFault(
        _ exchange: FieldExchange, _ policy: SlowHeaderPolicy, _ heard: FieldExchange.Message?
    ) -> String? {
        let isPlain =
            exchange.responseHeaders.allSatisfy(SlowHeaderPolicy.isPlain)
            && exchange.responseTrailers.allSatisfy(SlowHeaderPolicy.isPlain)
            && exchange.requestTrailers.allSatisfy(SlowHeaderPolicy.isPlain)
        guard let heard, let headers = heard.headers else {
            return isPlain ? "headers are lost" : nil
        }
        let expected = policy.responseHeaders
        if headers != expected {
            guard !isPlain, headers.allSatisfy(isWeirs) else {
                return "headers are \(headers), and should be \(expected)"
            }
            return nil
        }
        let trailers = policy.responseTrailers
        guard isPlain else { return nil }
        return heard.trailers ?? [] == trailers
            ? nil : "trailers are \(heard.trailers ?? []), and should be \(trailers)"
    }

    /// Of an answer that Weir gives by itself.
    private static func isWeirs(_ line: String) -> Bool {
        [":status: ", "content-type: ", "content-length: ", "grpc-status: ", "grpc-message: "]
            .contains { line.hasPrefix($0) }
    }
}
