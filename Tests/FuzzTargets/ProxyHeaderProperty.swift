import Wire

/// A PROXY header ends where it says, whatever follows it, and is none before its end; a fault
/// stays one; who is named is an address of IP that reads back from a line of version 1.
///
/// The first byte chooses the version.
enum ProxyHeaderProperty {
    private enum Reading: Equatable {
        case header(ProxyHeader), incomplete
        case fault(ProxyHeader.Fault)
    }

    static func fault(_ bytes: [UInt8]) -> String? {
        let (mode, rest) = bytes.split()
        let version: ProxyHeader.Version = mode % 2 == 0 ? .v1 : .v2
        let reading = read(rest, version)
        let longer = read(rest + [0x0d, 0x0a, 0, 0x20, 0xff], version)
        switch reading {
        case .incomplete: return rest.count < ProxyHeader.byteCountMax ? nil : "has no end"
        case .fault:
            // Of which version it is instead may only be seen later.
            if case .fault = longer { return nil }
            return "what is wrong becomes right"
        case .header(let header):
            guard header.byteCount <= min(rest.count, ProxyHeader.byteCountMax) else {
                return "is longer than what there is"
            }
            if longer != reading { return "is changed by what follows" }
            let last = header.byteCount - 1
            for count in [0, 1, 5, 6, 12, 13, 16, last / 2, last - 1, last]
            where count >= 0 && count < header.byteCount {
                guard read(Array(rest[..<count]), version) == .incomplete else {
                    return "is whole before its end"
                }
            }
            return header.source.flatMap(sourceFault)
        }
    }

    private static func sourceFault(_ source: SocketAddress) -> String? {
        let (name, port) =
            switch source {
            case .ipv4(let address, let port): ("TCP4 \(IPText.describe(address))", port)
            case .ipv6(let high, let low, let port):
                ("TCP6 \(IPText.describe(high: high, low: low))", port)
            case .unix: ("", 0)
            }
        if name.isEmpty { return "names what is no address" }
        let address = name.split(separator: " ")[1]
        let line = Array("PROXY \(name) \(address) \(port) 0\r\n".utf8)
        guard case .header(let again) = read(line, .v1), again.source == source else {
            return "\(source) does not read back"
        }
        return nil
    }

    private static func read(_ bytes: [UInt8], _ version: ProxyHeader.Version) -> Reading {
        do throws(ProxyHeader.Fault) {
            return try ProxyHeader.parse(bytes.span, version).map(Reading.header) ?? .incomplete
        } catch {
            return .fault(error)
        }
    }
}
