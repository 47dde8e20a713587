import Rules
import Wire

/// Header fields by which a client may not say who it is are known in every spelling, by a second,
/// slow reading; so is the client that trusted proxies name.
///
/// Lines of `name: value`.
enum RequestFieldsProperty {
    private struct Fields: RequestFields {
        var all: [(name: [UInt8], value: [UInt8])] = []

        func forEachValue(of name: Span<UInt8>, _ body: (Span<UInt8>) -> Void) {
            for field in all where field.name.count == name.count {
                if name.indices.allSatisfy({ name[$0] == field.name[$0] }) {
                    body(field.value.span)
                }
            }
        }
    }

    static func fault(_ bytes: [UInt8]) -> String? {
        var fields = Fields()
        for line in bytes.split(separator: 0x0a).prefix(50) {
            let colon = line.dropFirst().firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
            fields.all.append((Array(line[..<colon]), Array(line[colon...].dropFirst())))
        }
        for field in fields.all {
            if let fault = nameFault(field.name) { return fault }
        }
        return clientFault(fields)
    }

    private static func nameFault(_ name: [UInt8]) -> String? {
        let token = HeaderToken.of(name.span)
        // One character for each byte, so that no two of them are one.
        let text = String(String.UnicodeScalarView(name.map { UnicodeScalar($0) }))
        let isForged = SlowHeaderPolicy.isForged(text)
        guard token.isStrippedFromClients == isForged else {
            return "\(text) is \(isForged ? "not " : "")taken from clients"
        }
        let isHop = SlowHeaderPolicy.endsHere(text)
        guard token.isHopByHop == isHop else {
            return "\(text) \(isHop ? "does not end" : "ends") here"
        }
        guard HeaderToken.isForwarding(name.span) == SlowHeaderPolicy.forwarding.contains(text)
        else { return "\(text) is believed, or not, the other way" }
        guard token.isPseudo == pseudo.contains(text) else {
            return "\(text) is a pseudo-header, or none"
        }
        return nil
    }

    private static let pseudo: Set<String> = [
        ":authority", ":method", ":path", ":scheme", ":status", ":protocol",
    ]

    // MARK: The client behind proxies

    private static let range =
        (try? AddressRange(parsing: "10.0.0.0/8".utf8.span)).map { [$0] } ?? []

    private static func clientFault(_ fields: Fields) -> String? {
        let proxies = TrustedProxies(range)
        let proxy = IPAddress(ipv4: 0x0a00_0001)
        let found = proxies.client(behind: proxy, fields: fields)
        let expected = slowClient(fields) ?? proxy
        return found == expected ? nil : "the client is \(found), and should be \(expected)"
    }

    /// From the right, as one list.
    private static func slowClient(_ fields: Fields) -> IPAddress? {
        var hops: [ArraySlice<UInt8>] = []
        for field in fields.all where field.name.elementsEqual("x-forwarded-for".utf8) {
            hops += field.value.split(
                separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
        }
        let addresses = hops.map(address)
        return addresses.last { !isTrusted($0) } ?? addresses.first
    }

    private static func isTrusted(_ address: IPAddress) -> Bool {
        "\(address)".hasPrefix("10.")
    }

    private static func address(_ hop: ArraySlice<UInt8>) -> IPAddress {
        let isBlank: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 }
        let trimmed = hop.drop(while: isBlank).reversed().drop(while: isBlank).reversed()
        let text = String(decoding: Array(trimmed), as: UTF8.self)
        if let plain = parsed(text) { return plain }
        var host = Substring(text)
        let digits = text.reversed().prefix { ("0"..."9").contains($0) }.count
        if digits > 0, text.dropLast(digits).hasSuffix(":") { host = text.dropLast(digits + 1) }
        if host.hasPrefix("["), host.hasSuffix("]"), host.utf8.count > 2 {
            host = host.dropFirst().dropLast()
        }
        return parsed(String(host)) ?? .unknown
    }

    private static func parsed(_ text: String) -> IPAddress? {
        IPAddress(parsing: Array(text.utf8).span)
    }
}
