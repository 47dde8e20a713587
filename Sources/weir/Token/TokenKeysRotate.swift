internal import ArgumentParser
internal import Identity
internal import Wire

/// `weir token keys rotate`: the next key becomes the one that signs.
struct TokenKeysRotate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate", abstract: "Rotates the keys in a folder, or makes the first ones.",
        discussion: """
            In the folder: signing.pem signs, next.pem will after the next rotation, and \
            jwks.json is what to publish: both, and those before until --overlap is over. Each \
            file is replaced as a whole. Exit status: 0 rotated, 2 the folder cannot be used.
            """)

    @Option(help: "Where the keys are; made if it is not there.")
    var folder: String

    @Option(help: "How long a key stays published once it signs no more: the longest lifetime.")
    var overlap = Seconds(86_400)

    @Option(help: "The kind of the new key.")
    var type = KeyType.p256

    @OptionGroup var labels: KeyLabels

    func run() throws {
        let folder = Folder(path: self.folder)
        do throws(File.Failure) {
            try folder.make()
            let words = try folder.locked { () throws(File.Failure) in try rotate(folder) }
            print(words)
        } catch {
            throw File(self.folder).cannot(error.words)
        }
    }

    /// The set is published before a key in it signs: a crash in between leaves one that holds too
    /// much, never one that holds too little.
    private func rotate(_ folder: Folder) throws(File.Failure) -> String {
        let (jwks, signing, next) = (
            folder.file("jwks.json"), folder.file("signing.pem"), folder.file("next.pem")
        )
        let now = WallClock.seconds
        var ring = try ring(in: jwks)
        let promoted = try next.exists ? load(next) : make()
        let following = try make()
        for key in [promoted, following] { ring.publish(key.jwk) }
        ring.removeRetired(by: now)
        ring.retire(allBut: [promoted.keyID, following.keyID], until: now + overlap.value)
        try jwks.replace(with: ring.text, isSecret: false)
        try signing.replace(with: promoted.pem, isSecret: true)
        try next.replace(with: following.pem, isSecret: true)
        return "\(promoted.keyID) signs, \(following.keyID) is next, "
            + "\(ring.entries.count - 2) retired"
    }

    private struct Key {
        let pem: [UInt8]
        let jwk: JSONValue
        let keyID: String
    }

    private func ring(in file: File) throws(File.Failure) -> KeyRing {
        guard file.exists else { return KeyRing() }
        let bytes = try file.read(limit: KeySet.bytesMax)
        do { return try KeyRing(parsing: bytes) } catch {
            throw .system("jwks.json: \(error.description)")
        }
    }

    private func make() throws(File.Failure) -> Key {
        guard let key = SigningKey(generating: type.kind), let pem = key.pem else {
            throw .system("cannot make a key")
        }
        return try labelled(key, pem)
    }

    private func load(_ file: File) throws(File.Failure) -> Key {
        let pem = try file.read(limit: SigningKey.pemBytesMax, isSecret: true)
        guard let key = SigningKey(pem: pem) else {
            throw .system("\(file.path): no private key in PEM")
        }
        return try labelled(key, pem)
    }

    private func labelled(_ key: SigningKey, _ pem: [UInt8]) throws(File.Failure) -> Key {
        guard let parts = key.publicParts, let jwk = try? labels.jwk(of: parts) else {
            throw .system("a key that is not for these labels")
        }
        return Key(pem: pem, jwk: jwk, keyID: parts.thumbprint)
    }
}
