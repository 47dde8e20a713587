internal import Rules

/// What one worker's pool has to do for its endpoints' health, as far as the configuration asks for
/// it. Where it asks for nothing, that is one branch for each call.
struct EndpointWatch {
    let health: UpstreamHealth
    private(set) var terms: EjectionTerms?
    private(set) var ejects: Bool
    private(set) var countsRates: Bool
    /// When this worker's counts are handed in next.
    private var handInAt: Int64 = 0

    init(_ health: UpstreamHealth, _ terms: EjectionTerms?) {
        self.health = health
        self.terms = terms
        ejects = terms != nil
        countsRates = terms?.countsRates ?? false
    }

    /// What was ejected under terms that are gone is ejected no more.
    mutating func update(_ newTerms: EjectionTerms?, _ endpoints: [Endpoint], _ worker: Worker) {
        terms = newTerms
        ejects = newTerms != nil
        countsRates = newTerms?.countsRates ?? false
        if ejects { return }
        for endpoint in endpoints { _ = endpoint.record.restore(worker.workspace.now) }
    }

    @inline(always)
    func isProbeDue(now: Int64) -> Bool { ejects && health.isProbeDue(now: now) }

    /// True once in each interval: this worker's counts are to be handed in.
    mutating func isHandInDue(now: Int64, interval: Int64) -> Bool {
        guard now >= handInAt else { return false }
        handInAt = now &+ interval
        return true
    }
}
