internal import Rules
internal import Wire

/// How an upstream's endpoints are watched, and what a route counts against them.
extension UpstreamTerms {
    /// Without indentation.
    var healthLines: [String] { (conduct.healthCheck?.lines ?? []) + ejectionLines }

    private var ejectionLines: [String] {
        guard let ejection = conduct.ejection else { return [] }
        let longest = Duration.describe(max(ejection.timeBase, ejection.timeMax))
        var most = "\(Percent.describe(ejection.shareMax)) of the endpoints"
        if !endpoints.isEmpty { most += " (\(ejection.allowed(of: endpoints.count)))" }
        return ejection.causes.map { "ejects an endpoint \($0)" } + [
            "for \(Duration.describe(ejection.timeBase)), and longer each time up to \(longest)",
            "at most \(most) at once",
        ]
    }
}

extension EjectionTerms {
    fileprivate var causes: [String] {
        var causes: [String] = []
        if consecutiveFailures > 0 {
            causes.append("after \(consecutiveFailures) failures in a row")
        }
        if let rate = successRate {
            let digits = Double(rate.deviations) / 1_000
            causes.append("whose success rate is \(digits) deviations below the mean")
        }
        if let share = failureShare {
            causes.append("of whose calls \(Percent.describe(share.threshold)) fail")
        }
        return causes
    }
}

extension Route {
    /// What counts as a failure, for plain HTTP or gRPC.
    func failureWords(isGRPC: Bool) -> String {
        let words =
            isGRPC
            ? countedFailures.listedCodes.map { "\($0.name)" }
            : countedFailures.listedStatuses.map {
                $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound) to \($0.upperBound)"
            }
        return words.isEmpty ? "nothing" : words.joined(separator: ", ")
    }
}

extension HealthCheckTerms {
    fileprivate var lines: [String] {
        let interval = Duration.describe(intervals.steady)
        let pace = "every \(interval), \(Duration.describe(intervals.troubled)) once one has failed"
        return [
            "checks endpoints \(words), \(pace)",
            "unhealthy after \(unhealthyThreshold) failures in a row, healthy again after "
                + "\(healthyThreshold) successes; "
                + (usesUnchecked
                    ? "used before the first check" : "not used before the first check"),
        ]
    }

    private var words: String {
        switch kind {
        case .grpc(let service, let watches):
            let name = String(decoding: service, as: UTF8.self).quotable
            return "by gRPC, service '\(name)'" + (watches ? ", and watches it" : "")
        case .http(let path, _, _):
            return "by GET \(String(decoding: path, as: UTF8.self).quotable)"
        case .tcp: return "by connecting"
        }
    }
}
