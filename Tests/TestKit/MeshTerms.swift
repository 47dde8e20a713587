/// What a worker is told of the mesh with one configuration: whom to believe, and who it is itself.
/// Like the access rules, drawn from the seed and the installation's number alone.
struct MeshTerms {
    /// Clients without a certificate are refused.
    let requiresClients: Bool
    let believed: Set<Mesh.Root>
    /// Of the identities that the proxy has, which.
    let identity: Int

    init(seed: UInt64, installation: Int) {
        var world = Chance(seed: seed &* 0x9e37_79b9_7f4a_7c15 ^ 0x6d65_7368)
        requiresClients = world.hits(percent: 75)
        var chance = Chance(seed: world.next() ^ UInt64(installation))
        let steady: Set<Mesh.Root> = [.first, .second]
        believed =
            chance.hits(percent: 60) ? steady : chance.pick([[.first], [.second], steady])
        identity = chance.below(2)
    }

    /// Whether somebody who shows that is believed, at a time in seconds since 1970.
    func believes(_ credential: Mesh.Credential, at time: Int64) -> Bool {
        !believed.isDisjoint(with: credential.roots) && time <= credential.expiresAt
    }
}
