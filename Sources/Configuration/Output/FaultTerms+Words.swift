internal import Rules
internal import Wire

extension FaultTerms {
    /// A line for each, and one for what lowers them.
    var words: [String] {
        var lines: [String] = []
        if let delay {
            let share = Percent.text(ofShare: delay.share)
            lines.append("\(share) wait for \(Duration.describe(delay.duration))")
        }
        if let abort {
            let name = GRPCStatus(rawValue: abort.grpcStatus).map { "\($0.name)" } ?? ""
            let share = Percent.text(ofShare: abort.share)
            lines.append("\(share) are answered with \(name) or \(abort.httpStatus)")
        }
        if let loweredBy {
            lines.append("fewer where \(String(decoding: loweredBy, as: UTF8.self)) says so")
        }
        return lines
    }
}
