internal import Proxy

/// Builds a page in Prometheus' text format (version 0.0.4).
struct Exposition {
    static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    enum Kind: String { case counter, gauge, histogram }
    typealias Labels = [(name: String, value: String)]

    private(set) var bytes: [UInt8] = []

    /// What follows are samples of `name`, until the next family.
    mutating func family(_ name: String, _ kind: Kind, _ help: String) {
        append("# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n")
    }

    mutating func sample(_ name: String, _ value: UInt64) { sample(name, [], value) }

    mutating func sample(_ name: String, _ labels: Labels, _ value: UInt64) {
        sample(name, labels, text: "\(value)")
    }

    mutating func sample(_ name: String, _ labels: Labels = [], seconds nanoseconds: UInt64) {
        sample(name, labels, text: Self.seconds(nanoseconds))
    }

    /// - buckets: a count for each bound, and one for what is above all of them.
    mutating func histogram(
        _ name: String, _ labels: Labels, bounds: [Int64], buckets: [UInt64], sum: UInt64
    ) {
        let words = bounds.map { Self.seconds(UInt64(clamping: $0)) }
        let total = writeBuckets(name, labels, words, buckets)
        sample(name + "_sum", labels, seconds: sum)
        sample(name + "_count", labels, total)
    }

    /// - sizes: a count for each of `MessageSizeBuckets`.
    mutating func histogram(_ name: String, _ labels: Labels, sizes: [UInt64], sum: UInt64) {
        histogram(name, labels, upTo: MessageSizeBuckets.bounds, buckets: sizes, sum: sum)
    }

    /// The same of numbers that have no unit.
    mutating func histogram(
        _ name: String, _ labels: Labels, upTo bounds: [UInt64], buckets: [UInt64], sum: UInt64
    ) {
        let total = writeBuckets(name, labels, bounds.map { "\($0)" }, buckets)
        sample(name + "_sum", labels, sum)
        sample(name + "_count", labels, total)
    }

    private mutating func writeBuckets(
        _ name: String, _ labels: Labels, _ bounds: [String], _ buckets: [UInt64]
    ) -> UInt64 {
        var total: UInt64 = 0
        for (index, count) in buckets.enumerated() {
            total &+= count
            let bound = index < bounds.count ? bounds[index] : "+Inf"
            sample(name + "_bucket", labels + [("le", bound)], total)
        }
        return total
    }

    private mutating func sample(_ name: String, _ labels: Labels, text: String) {
        append(name)
        if !labels.isEmpty {
            let words = labels.map { "\($0.name)=\"\(Self.escaped($0.value))\"" }
            append("{" + words.joined(separator: ",") + "}")
        }
        append(" " + text + "\n")
    }

    private mutating func append(_ text: String) { bytes += Array(text.utf8) }

    private static func escaped(_ value: String) -> String {
        var text = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": text += "\\\\"
            case "\"": text += "\\\""
            case "\n": text += "\\n"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }

    /// Exact: nine digits behind the point, but no zeros at the end.
    static func seconds(_ nanoseconds: UInt64) -> String {
        let (whole, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        if rest == 0 { return "\(whole)" }
        var digits = String(1_000_000_000 + rest).dropFirst()
        while digits.last == "0" { digits = digits.dropLast() }
        return "\(whole).\(digits)"
    }
}
