internal import Identity
internal import Rules
internal import Wire

/// Turns the checked tree into a `Snapshot`: listeners and upstreams first, as routes name them.
final class SnapshotBuilder {
    typealias NodeID = Tree.NodeID

    /// Of any kind in one configuration.
    static let listenersMax = 1_000
    static let upstreamsMax = 100_000
    static let routesMax = 1_000_000

    let checker: Checker
    let materials: Materials
    /// Of all that was read; what files hold is added on the way.
    var digest: Digest
    /// Files that the configuration names, to be watched like itself.
    var watchedFiles: [String] = []
    var identities: [Named<LocalIdentity>] = []
    var renewed: [RenewedIdentity] = []
    var trust: [Named<TrustBundle>] = []
    /// Of identities and trust entries that something names.
    var usedNames: Set<NodeID> = []
    var tokenIssuers: [TokenIssuerDraft] = []
    var tokenSigners: [Named<TokenSignerTerms>] = []
    var rateLimits: [RateLimitDraft] = []
    var listeners: [ListenerDraft] = []
    var upstreams: [UpstreamDraft] = []
    var routes: [Route] = []
    var listenerIndex: [String: Int] = [:]
    var upstreamIndex: [String: Int] = [:]
    var tokenIssuerIndex: [String: Int] = [:]
    /// Where each route's name was first given.
    var routeNames: [String: NodeID] = [:]
    var patternCount = 0
    /// Matches whose problem with others is known.
    var reportedPlaces: Set<NodeID> = []

    struct TokenIssuerDraft {
        let terms: TokenIssuerTerms
        let node: NodeID
    }

    struct ListenerDraft {
        let name: String
        let node: NodeID
        let address: SocketAddress?
        let limits: DownstreamLimits
        let timeouts: DownstreamTimeouts
        let intake: ListenerTerms.Intake
        let tls: ServerTLSTerms?
        var patterns: [RoutePattern] = []
        /// The node of each pattern's match.
        var places: [NodeID] = []
    }

    struct UpstreamDraft {
        let name: String
        let node: NodeID
        let endpoints: (fixed: [EndpointTerms], source: EndpointSource?)
        let limits: UpstreamLimits
        let timeouts: UpstreamTimeouts
        let isGRPCOnly: Bool?
        let proof: UpstreamTerms.Proof
        let conduct: UpstreamTerms.Conduct
        var hasMethodRoutes = false
        var hasOtherRoutes = false
        /// What a route to it alone holds, once there is one.
        var alone: WeightedBackends?
    }

    /// The process's own.
    var zone: String?
    /// False with `watch: off`.
    private(set) var watchesFiles = true

    init(_ checker: Checker, _ materials: Materials, _ digest: Digest) {
        self.checker = checker
        self.materials = materials
        self.digest = digest
    }

    /// Nil if anything is missing without which there is no snapshot; the checker knows why.
    func build() -> Snapshot? {
        let sections = readSections()
        for node in sections.identities { addIdentity(node) }
        for node in sections.trust { addTrust(node) }
        for node in sections.tokenIssuers { addTokenIssuer(node) }
        for node in sections.tokenSigners { addTokenSigner(node) }
        zone = sections.zone.flatMap { checker.name($0, "a zone") }
        for node in sections.upstreams { addUpstream(node) }
        for node in sections.rateLimits { addRateLimit(node) }
        for node in sections.listeners { addListener(node) }
        routes.reserveCapacity(sections.routes.count)
        for node in sections.routes { addRoute(node) }
        let access = sections.access.flatMap(readAccess)
        if let node = sections.watch {
            watchesFiles = checker.choice(node, "watch", ["on", "off"]) != 1
        }
        let accessLog = sections.accessLog.flatMap(readAccessLog)
        let metrics = sections.metrics.flatMap(readMetrics)
        let admin = sections.admin.flatMap { readAdmin($0, besides: metrics?.address) }
        let tables = listeners.indices.map(makeTable)
        if !checker.hasErrors { warnOfUnused() }
        guard let access, !checker.hasErrors else { return nil }
        var process = Snapshot.ProcessTerms(access: access)
        process.renewed = renewed
        process.telemetry.accessLog = accessLog
        process.telemetry.metrics = metrics?.address
        process.telemetry.methods = metrics?.methods
        process.telemetry.admin = admin
        process.overload = sections.overload.flatMap(readOverload) ?? OverloadTerms()
        process.tokens = TokenTerms(tokenIssuers.map(\.terms))
        process.signers = tokenSigners.compactMap(\.value)
        process.expiries = expiries
        process.rateLimits = rateLimits.map(\.limit)
        return Snapshot(
            revision: digest.text, listeners: zip(listeners, tables).compactMap(makeTerms),
            upstreams: upstreams.map(makeTerms), routes: routes, process: process)
    }

    private var expiries: [Snapshot.Expiry] {
        identities.compactMap { entry in
            entry.value.map { .init(kind: .identity, name: entry.name, at: $0.notAfter) }
        }
            + trust.compactMap { entry in
                entry.value.map { .init(kind: .trust, name: entry.name, at: $0.expiresAt) }
            }
    }

    private func makeTerms(_ draft: ListenerDraft, _ table: RouteTable) -> ListenerTerms? {
        guard let address = draft.address else { return nil }
        return ListenerTerms(
            name: draft.name, address: address, routes: table,
            speech: (draft.tls, draft.intake),
            bounds: (draft.limits, draft.timeouts))
    }

    private func makeTerms(_ draft: UpstreamDraft) -> UpstreamTerms {
        var conduct = draft.conduct
        conduct.isGRPCOnly = draft.isGRPCOnly ?? (draft.hasMethodRoutes && !draft.hasOtherRoutes)
        return UpstreamTerms(
            name: draft.name, endpoints: draft.endpoints, proof: draft.proof,
            bounds: (draft.limits, draft.timeouts),
            conduct: conduct)
    }

    private func warnOfUnused() {
        for upstream in upstreams where !upstream.hasMethodRoutes && !upstream.hasOtherRoutes {
            checker.fail(
                .unused, upstream.node, "no route sends anything to upstream '\(upstream.name)'")
        }
        for identity in identities where !usedNames.contains(identity.node) {
            checker.fail(.unused, identity.node, "nothing uses identity '\(identity.name)'")
        }
        for entry in trust where !usedNames.contains(entry.node) {
            checker.fail(.unused, entry.node, "nothing uses trust entry '\(entry.name)'")
        }
        warnOfUnusedLimits()
        for signer in tokenSigners where !usedNames.contains(signer.node) {
            checker.fail(.unused, signer.node, "nothing uses token signer '\(signer.name)'")
        }
    }
}

/// The top level, joined from all files.
extension SnapshotBuilder {
    struct Sections {
        var identities: [NodeID] = []
        var trust: [NodeID] = []
        var tokenIssuers: [NodeID] = []
        var tokenSigners: [NodeID] = []
        var rateLimits: [NodeID] = []
        var listeners: [NodeID] = []
        var upstreams: [NodeID] = []
        var routes: [NodeID] = []
        var access: NodeID?
        var accessLog: NodeID?
        var metrics: NodeID?
        var admin: NodeID?
        var watch: NodeID?
        var zone: NodeID?
        var overload: NodeID?
    }

    private func readSections() -> Sections {
        var sections = Sections()
        var hasListeners = false
        for file in checker.tree.files where !file.isEmpty {
            var given: Set<Int> = []
            _ = checker.readEntries(of: file.root, RootKey.table) { index, value in
                guard given.insert(index).inserted else { return false }
                switch RootKey(rawValue: index) {
                case .listeners:
                    hasListeners = true
                    sections.listeners += checker.items(value, "listeners", 1...Self.listenersMax)
                case .upstreams:
                    sections.upstreams += checker.items(
                        value, "upstreams", 0...Self.upstreamsMax)
                case .routes:
                    sections.routes += checker.items(value, "routes", 0...Self.routesMax)
                case .identities:
                    sections.identities += checker.items(value, "identities", 0...1_000)
                case .trust: sections.trust += checker.items(value, "trust entries", 0...1_000)
                case .tokenIssuers:
                    sections.tokenIssuers += checker.items(
                        value, "token issuers", 0...TokenTerms.issuersMax)
                case .tokenSigners:
                    sections.tokenSigners += checker.items(
                        value, "token signers", 0...TokenTerms.issuersMax)
                case .rateLimits:
                    sections.rateLimits += checker.items(
                        value, "rate limits", 0...Self.rateLimitsMax)
                case .access: takeOnce(value, "access", &sections.access)
                case .accessLog: takeOnce(value, "access_log", &sections.accessLog)
                case .metrics: takeOnce(value, "metrics", &sections.metrics)
                case .admin: takeOnce(value, "admin", &sections.admin)
                case .watch: takeOnce(value, "watch", &sections.watch)
                case .zone: takeOnce(value, "zone", &sections.zone)
                case .overload: takeOnce(value, "overload", &sections.overload)
                default: break
                }
                return true
            }
        }
        if !hasListeners { failMissing("listeners", "listeners: a list of listeners") }
        if sections.access == nil { failMissing("access", "access: {default: allow} or deny") }
        return sections
    }

    private func takeOnce(_ value: NodeID, _ key: String, _ taken: inout NodeID?) {
        guard let first = taken else {
            taken = value
            return
        }
        checker.fail(
            .duplicateKey, value,
            "'\(key)' is given twice, first at \(checker.tree.place(first))",
            expected: "it in one file only")
    }

    private func failMissing(_ key: String, _ expected: String) {
        let files = checker.tree.files
        let place =
            files.count == 1 && !files[0].isEmpty
            ? checker.tree.place(files[0].root) : Diagnostic.Place(file: files.first?.name ?? "")
        checker.report(
            .missingKey,
            Diagnostic(
                .missingKey, place, "this configuration has no '\(key)'", expected: expected))
    }
}
