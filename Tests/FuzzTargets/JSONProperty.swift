internal import Wire

/// What is read is written and read again as the same; base64url has one text for each value.
enum JSONProperty {
    static func fault(_ bytes: [UInt8]) -> String? {
        if let decoded = Base64URL.decode(bytes.span) {
            guard Base64URL.text(of: decoded).utf8.elementsEqual(bytes) else {
                return "two base64url texts are the same bytes"
            }
        }
        guard let value = try? JSONParser.parse(bytes.span) else { return nil }
        guard let again = try? JSONParser.parse(value.bytes.span) else {
            return "what was written is not JSON"
        }
        if again != value { return "what was written is another value" }
        return hasTwins(value) ? "a name is there twice" : nil
    }

    private static func hasTwins(_ value: JSONValue) -> Bool {
        switch value {
        case .array(let values): return values.contains(where: hasTwins)
        case .object(let members):
            let names = members.map { Array($0.name.utf8) }
            return Set(names).count < names.count || members.contains { hasTwins($0.value) }
        default: return false
        }
    }
}
