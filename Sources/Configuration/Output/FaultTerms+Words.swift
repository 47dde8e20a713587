internal import Rules
internal import Wire

extension FaultTerms {
    /// A line for each, and one for what lowers them.
    var words: [String] {
        var lines: [String] = []
        if let delay {
            lines.append(
                "\(Self.percent(delay.share)) wait for \(Duration.describe(delay.duration))")
        }
        if let abort {
            let name = GRPCStatus(rawValue: abort.grpcStatus).map { "\($0.name)" } ?? ""
            lines.append(
                "\(Self.percent(abort.share)) are answered with \(name) or \(abort.httpStatus)")
        }
        if let loweredBy {
            lines.append("fewer where \(String(decoding: loweredBy, as: UTF8.self)) says so")
        }
        return lines
    }

    private static func percent(_ share: UInt64) -> String {
        Percent.describe(Int64((share * 10_000 + whole / 2) >> 32))
    }
}
