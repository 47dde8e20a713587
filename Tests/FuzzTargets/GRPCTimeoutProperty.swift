internal import Wire

/// A timeout is taken if and only if a second, slow reading of "gRPC over HTTP2" takes it, for the
/// same time; passed on it is never longer, and a hundred-thousandth shorter at most.
enum GRPCTimeoutProperty {
    static func fault(_ bytes: [UInt8]) -> String? {
        let time = GRPCTimeout.parse(bytes.span)
        let expected = reference(bytes)
        guard time == expected else {
            return "is \(time.map { "\($0) ns" } ?? "refused"), not \(expected ?? -1) ns"
        }
        if let time { return encodingFault(time) }
        // Any number at all is passed on so.
        let number = bytes.prefix(8).reduce(0) { $0 << 8 | Int64($1) }
        return encodingFault(number)
    }

    private static let units: [UInt8: UInt64] = [
        UInt8(ascii: "n"): 1, UInt8(ascii: "u"): 1_000, UInt8(ascii: "m"): 1_000_000,
        UInt8(ascii: "S"): 1_000_000_000, UInt8(ascii: "M"): 60_000_000_000,
        UInt8(ascii: "H"): 3_600_000_000_000,
    ]

    /// One to eight digits and a unit; what does not fit is as long as can be said.
    private static func reference(_ text: [UInt8]) -> Int64? {
        guard (2...9).contains(text.count), let unit = text.last.flatMap({ units[$0] }),
            text.dropLast().allSatisfy({ (0x30...0x39).contains($0) }),
            let number = UInt64(String(decoding: text.dropLast(), as: UTF8.self))
        else { return nil }
        let (time, isOver) = number.multipliedReportingOverflow(by: unit)
        return isOver ? .max : Int64(clamping: time)
    }

    private static func encodingFault(_ time: Int64) -> String? {
        let encoded = GRPCTimeout.encode(time)
        guard (2...9).contains(encoded.count) else { return "a timeout has another length" }
        let text = (0..<encoded.count).map { encoded.bytes[$0] }
        let least = max(time, 0)
        guard let again = reference(text), again <= least, again >= least / 100_000 * 99_999 else {
            return "a timeout of \(time) ns is passed on as another"
        }
        return nil
    }
}
