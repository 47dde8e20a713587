import Wire

/// A server that gets copies of a world's requests, and what it makes of them.
struct MirrorPlan {
    enum Conduct: CaseIterable {
        case answers
        /// Takes requests, and says nothing.
        case hangs
        case resets
        /// Sends far more than anybody asked for.
        case floods
        /// Speaks something else than HTTP/2.
        case babbles
        /// Ends each connection some time after its first request.
        case cuts
        /// Takes no connections.
        case refuses
    }

    var conduct = Conduct.answers
    var share = 100
    /// How many there may be at once.
    var copiesMax = 128
    var link = Link()

    init?(_ chance: inout Chance) {
        guard chance.hits(percent: 60) else { return nil }
        conduct = chance.hits(percent: 40) ? .answers : chance.pick(Conduct.allCases)
        share = chance.pick([100, 100, 50])
        copiesMax = chance.pick([128, 128, 2])
        link.delay = chance.pick([1_000...20_000, 1_000_000...40_000_000])
        link.capacity = chance.pick([4_096, 262_144])
    }

    /// The upstream's line of a configuration.
    var upstream: String {
        "  - {name: mirror, endpoints: [\"\(SimulatedMirror.address)\"]"
            + ", limits: {mirrored: \(copiesMax)}}\n"
    }

    /// The key of a route.
    var key: String { ", mirror: {upstream: mirror, share: \(share)%}" }
}
