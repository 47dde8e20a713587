internal import Configuration
internal import Rules
internal import Wire

/// Endpoints that are found elsewhere, and what happens while there are none.
extension UpstreamPool {
    /// Until when an attempt waits for the first list: as long as it would for a connection.
    /// `Int64.max` where it does not wait for one, or for ever.
    func awaitsEndpointsUntil(_ attempt: Attempt) -> Int64 {
        guard terms.source != nil, list == nil, terms.timeouts.connect > 0 else { return .max }
        return attempt.exchange.use { $0.progressAt &+ terms.timeouts.connect }
    }

    /// The source has not answered yet, and there is time left.
    func awaitsEndpoints(_ attempt: Attempt, _ worker: Worker) -> Bool {
        guard terms.source != nil, list == nil, !isRetired else { return false }
        return worker.workspace.now < awaitsEndpointsUntil(attempt)
    }

    /// Why there is nowhere to go, where that is the source's doing.
    var missingEndpoints: String? {
        guard let source = terms.source else { return nil }
        guard let list else {
            let what = if case .dns = source { "DNS gave no answer" } else { "no file was read" }
            return "\(what) that says where upstream \(name) is"
        }
        return list.endpoints.isEmpty ? "upstream \(name) has no endpoints now" : nil
    }

    /// An endpoint cannot be connected to: its name may lead elsewhere by now.
    func endpointFailed(_ worker: Worker) {
        guard let source = terms.source, case .dns = source else { return }
        worker.discovered.requests.ask(for: source)
    }
}

extension Worker {
    /// What discovery knows now. Streams go on where they are; a list that is not there changes
    /// nothing.
    func take(_ newest: DiscoveredEndpoints) {
        discovered = newest
        for pool in pools where pool.take(newest, self) {
            // Endpoints that left have series.
            hasStaleSeries = true
        }
        syncChecks()
    }
}
