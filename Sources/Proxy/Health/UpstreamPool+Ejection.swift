internal import Rules
internal import Wire

/// Ejecting endpoints, and finding out whether they have recovered.
extension UpstreamPool {
    /// How soon to look again whether an endpoint that is due could be connected to.
    private static let lookNanoseconds: Int64 = 50_000_000

    /// A connection to an endpoint whose ejection's time is over: this attempt decides whether it
    /// returns. Nil where there is none yet.
    func probe(_ attempt: Attempt, _ worker: Worker) -> Borrowed<UpstreamConnection>? {
        guard let terms = watch.terms else { return nil }
        let now = worker.workspace.now
        watch.health.forgetProbe()
        var chosen: Borrowed<UpstreamConnection>?
        var next = Int64.max
        for endpoint in endpoints {
            guard let dueAt = endpoint.record.dueAt else { continue }
            guard chosen == nil, now >= dueAt else {
                next = min(next, dueAt)
                continue
            }
            if let connection = endpoint.connectionWithRoom {
                if endpoint.record.beginProbe(now, terms) { chosen = connection }
                next = min(next, endpoint.record.dueAt ?? .max)
            } else {
                if endpoint.needsConnection { connect(to: endpoint, worker) }
                next = min(next, now + Self.lookNanoseconds)
            }
        }
        if next < .max { watch.health.probe(by: next) }
        attempt.isProbe = chosen != nil
        return chosen
    }

    /// A call to an endpoint has ended. - isFailure: nil where that says nothing of the endpoint.
    func callEnded(
        at endpoint: Endpoint, isFailure: Bool?, isProbe: Bool, _ worker: Worker
    ) {
        guard let terms = watch.terms else { return }
        if isProbe { probeEnded(at: endpoint, isFailure: isFailure, terms, worker) }
        guard let isFailure else { return }
        if isFailure {
            failed(endpoint, terms, worker)
        } else {
            endpoint.record.callSucceeded()
        }
        guard watch.countsRates else { return }
        if isFailure { endpoint.tally.failures += 1 } else { endpoint.tally.successes += 1 }
        let now = worker.workspace.now
        if watch.isHandInDue(now: now, interval: terms.interval) { judgeRates(terms, worker) }
    }

    private func failed(_ endpoint: Endpoint, _ terms: EjectionTerms, _ worker: Worker) {
        let failures = endpoint.record.callFailed()
        let threshold = terms.consecutiveFailures
        guard threshold > 0, failures >= threshold, failures % threshold == 0 else { return }
        eject(endpoint, .consecutiveFailures, terms, worker)
    }

    private func probeEnded(
        at endpoint: Endpoint, isFailure: Bool?, _ terms: EjectionTerms, _ worker: Worker
    ) {
        let end: Ejection.ProbeEnd = isFailure.map { $0 ? .failed : .succeeded } ?? .lost
        switch endpoint.record.probeEnded(end, worker.moment, terms) {
        case .none: break
        case .returned: noteReturn(of: endpoint.address, "probe", worker)
        case .ejected(let time): note(.probe, endpoint, for: time, worker)
        }
    }

    /// No connection could be made. Where an ejected endpoint was due that is its probe.
    func connectFailed(
        to endpoint: Endpoint, _ reason: @autoclosure () -> String, _ worker: Worker
    ) {
        if let check { return check.use { $0.connectFailed(reason(), worker) } }
        guard let terms = watch.terms else { return }
        if endpoint.record.beginProbe(worker.workspace.now, terms) {
            probeEnded(at: endpoint, isFailure: true, terms, worker)
        } else {
            failed(endpoint, terms, worker)
        }
    }

    private func eject(
        _ endpoint: Endpoint, _ cause: Ejection.Cause, _ terms: EjectionTerms, _ worker: Worker
    ) {
        let allowed = terms.allowed(of: endpoints.count)
        switch endpoint.record.eject(cause, worker.moment, terms, allowed: allowed) {
        case .already: break
        case .capped: watch.health.countWithheld()
        case .ejected(let time): note(cause, endpoint, for: time, worker)
        }
    }

    /// What this worker's calls became goes to what all workers' became; one of them judges that.
    private func judgeRates(_ terms: EjectionTerms, _ worker: Worker) {
        for endpoint in endpoints {
            endpoint.record.add(endpoint.tally)
            endpoint.tally = Outliers.Tally()
        }
        let now = worker.workspace.now
        guard watch.health.isToJudge(now: now, interval: terms.interval) else { return }
        let causes = Outliers.find(endpoints.map { $0.record.takeTally() }, terms)
        for (endpoint, cause) in zip(endpoints, causes) {
            if let cause { eject(endpoint, cause, terms, worker) }
        }
    }

    // MARK: Saying so

    private func note(
        _ cause: Ejection.Cause, _ endpoint: Endpoint, for time: Int64, _ worker: Worker
    ) {
        watch.health.count(cause)
        worker.workspace.log.write(
            .warning,
            "endpoint ejected upstream=\(name) endpoint=\(endpoint.address) reason=\(cause.name) "
                + "seconds=\(time / 1_000_000_000) ejected=\(watch.health.ejected)")
    }

    func noteReturn(of address: SocketAddress, _ reason: String, _ worker: Worker) {
        worker.workspace.log.write(
            .notice, "endpoint returned upstream=\(name) endpoint=\(address) reason=\(reason)")
    }
}
