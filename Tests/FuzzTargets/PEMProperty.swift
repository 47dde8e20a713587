internal import Identity

/// Blocks read back as they are written; an authority's index, too.
enum PEMProperty {
    static func fault(_ bytes: [UInt8]) -> String? {
        if let blocks = try? PEM.blocks(in: bytes) {
            guard blocks.count <= PEM.blocksMax else { return "has too many blocks" }
            guard (try? PEM.blocks(in: PEM.text(blocks))) == blocks else {
                return "its blocks do not read back"
            }
        }
        if let list = try? Certificate.list(pem: bytes), list.isEmpty { return "is an empty list" }
        _ = try? PrivateKey(pem: bytes)
        _ = SigningKey(pem: bytes)
        if let parts = PublicKeyParts(pem: bytes) {
            let set = try? KeySet(parsing: KeySet.text(of: [parts.jwk()]), allowsSecrets: false)
            guard let set, set.keys.count + set.omissions.count == 1 else {
                return "its key makes no key set"
            }
        }
        if let index = try? AuthorityIndex(text: bytes) {
            guard (try? AuthorityIndex(text: index.text)) == index else {
                return "the index does not read back"
            }
        }
        return nil
    }
}
