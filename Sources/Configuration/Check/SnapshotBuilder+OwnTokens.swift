internal import Identity
internal import Wire

/// Tokens that Weir makes, and those that it attaches.
extension SnapshotBuilder {
    private static let second: Int64 = 1_000_000_000
    private static let lifetimes = 30 * second...86_400 * second
    private static let lifetimeUsual: Int64 = 300
    private static let subjectBytesMax = 2_048

    func addTokenSigner(_ node: NodeID) {
        guard let fields = checker.fields(node, TokenSignerKey.self) else { return }
        let name = ownName(fields[.name], "token signer", among: tokenSigners)
        let issuer = fields[.issuer].flatMap { readSome($0, "an issuer") }
        let subject = fields[.subject].flatMap { readSome($0, "a subject") }
        var lifetime: Int64? = Self.lifetimeUsual
        if let node = fields[.lifetime] {
            lifetime = checker.duration(node, "lifetime", Self.lifetimes, offAllowed: false)
                .map { $0 / Self.second }
        }
        let keys = fields[.keys].flatMap { readSigningKeys($0, name ?? "") }
        var terms: TokenSignerTerms?
        if let issuer, let lifetime, let keys, fields[.subject] == nil || subject != nil {
            terms = TokenSignerTerms(
                name: name ?? "", issuer: issuer, subject: subject, lifetime: lifetime,
                signer: keys.signer, published: keys.published)
        }
        if let terms, let subject, let node = fields[.subject] { checkSVID(terms, subject, node) }
        tokenSigners.append(Named(name: name ?? "", node: node, value: terms))
    }

    private func readSome(_ node: NodeID, _ what: String) -> String? {
        guard let text = checker.text(node, what) else { return nil }
        if !text.isEmpty, text.utf8.count <= Self.subjectBytesMax { return text }
        checker.fail(
            .badValue, node, "\(what) of \(text.utf8.count) bytes",
            expected: "1 to \(Self.subjectBytesMax)")
        return nil
    }

    /// JWT-SVID, section 3.
    private func checkSVID(_ terms: TokenSignerTerms, _ subject: String, _ node: NodeID) {
        guard subject.utf8.starts(with: "spiffe:".utf8) else { return }
        if let id = try? SPIFFEID(subject), !id.path.isEmpty {
            if terms.signer.algorithm.isOfSVID { return }
            checker.fail(
                .conflict, node,
                "a token for a SPIFFE ID is not signed with \(terms.signer.algorithm.rawValue)",
                expected: "a key for RS, PS or ES")
        } else {
            checker.fail(
                .badValue, node, "'\(subject.quotable)' is not a SPIFFE ID",
                expected: "spiffe://DOMAIN/PATH")
        }
    }

    private func readSigningKeys(_ node: NodeID, _ name: String) -> SigningKeys? {
        guard let text = checker.text(node, "a folder") else { return nil }
        guard !text.isEmpty, !text.utf8.contains(0) else {
            checker.fail(.badValue, node, "no folder", expected: "a path such as keys")
            return nil
        }
        let folder = path(text.hasSuffix("/") ? text : text + "/", relativeTo: node)
        let files = (folder + "signing.pem", folder + "jwks.json")
        watchedFiles += [files.0, files.1]
        let reading = materials.signingKeys(key: files.0, published: files.1)
        report(reading, node, "the keys of token signer '\(name)'")
        guard let keys = reading.value else { return nil }
        digest.add(keys.published)
        digest.add(Array(keys.signer.keyID.utf8))
        if !keys.isPublished {
            checker.fail(
                .unused, node,
                "the key that signs is not in \(files.1): nobody who reads that can verify with it",
                expected: "a set that weir token keys rotate has written")
        }
        return keys
    }

    /// - identity: what Weir shows to the upstream's servers.
    func readAttachedToken(_ node: NodeID, _ identity: LocalIdentity?) -> AttachedToken? {
        guard let fields = checker.fields(node, AttachTokenKey.self) else { return nil }
        if let file = fields[.file] {
            if let node = fields[.audience] {
                checker.fail(
                    .conflict, node, "the token of a file has an audience of its own",
                    expected: "issuer beside it, or it to be left out")
            }
            return readTokenFile(file)
        }
        let audience = fields[.audience].flatMap { readSome($0, "an audience") }
        if fields[.issuer] != nil, fields[.audience] == nil {
            checker.fail(
                .missingKey, node, "nothing says whom the token is for",
                expected: "audience: what the servers look for in aud")
        }
        guard let issuer = fields[.issuer],
            let terms = find(issuer, "token signer", among: tokenSigners), let audience
        else { return nil }
        guard let subject = terms.subject ?? identity?.spiffeID?.description else {
            checker.fail(
                .missingKey, node, "nothing says whom the token speaks for",
                expected: "a subject of token signer '\(terms.name)', or tls with an identity "
                    + "that has a SPIFFE ID")
            return nil
        }
        if terms.subject == nil { checkSVID(terms, subject, node) }
        return .minted(
            AttachedToken.Minting(
                issuer: terms.issuer, subject: subject, audience: audience,
                lifetime: terms.lifetime, signer: terms.signer))
    }

    private func readTokenFile(_ node: NodeID) -> AttachedToken? {
        guard let path = readFilePath(node) else { return nil }
        let reading = materials.token(path)
        report(reading, node, "the token")
        guard let token = reading.value else { return nil }
        digest.add(token)
        return .fixed(token)
    }
}
