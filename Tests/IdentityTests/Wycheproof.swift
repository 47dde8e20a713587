import FoundationEssentials
import Testing
import Wire

/// Test vectors of Project Wycheproof, where they are at hand: a folder `wycheproof` in
/// `../shared/vectors` beside the repository, or in `WEIR_VECTORS`.
enum Wycheproof {
    struct Case: Sendable, CustomTestStringConvertible {
        let file: String
        let id: Int64
        let comment: String
        let token: String
        let isValid: Bool
        /// The group's public key or key set, or its secret one where it has no other.
        let key: JSONValue

        var testDescription: String { "\(file) \(id): \(comment)" }
    }

    static let isAtHand = !signatures.isEmpty
    static let signatures = cases("json_web_signature_test")
    static let keySets = cases("json_web_key_test")
    static let crypto = cases("json_web_crypto_test")

    private static func cases(_ file: String) -> [Case] {
        guard let bytes = bytes(of: file + ".json"), let json = try? JSONParser.parse(bytes.span),
            case .array(let groups) = json["testGroups"]
        else { return [] }
        return groups.flatMap { group -> [Case] in
            guard case .array(let tests) = group["tests"],
                let key = group["public"] ?? group["private"]
            else { return [] }
            return tests.compactMap { test in
                guard case .string(let token) = test["jws"], case .integer(let id) = test["tcId"],
                    case .string(let comment) = test["comment"]
                else { return nil }
                return Case(
                    file: file, id: id, comment: comment, token: token,
                    isValid: test["result"] == .string("valid"), key: key)
            }
        }
    }

    private static func bytes(of file: String) -> [UInt8]? {
        var folders = ProcessInfo.processInfo.environment["WEIR_VECTORS"].map { [$0] } ?? []
        let root = #filePath.dropLast("/Tests/IdentityTests/Wycheproof.swift".count)
        folders.append(root + "/../shared/vectors")
        for folder in folders {
            let path = "\(folder)/wycheproof/\(file)"
            if let data = FileManager.default.contents(atPath: path) { return Array(data) }
        }
        return nil
    }
}
