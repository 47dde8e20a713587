internal import Proxy
internal import Wire

/// The series of all workers, those of one key together, in the order of their labels.
struct SeriesSums {
    struct Sums {
        let labels: Exposition.Labels
        let isGRPC: Bool
        var started: UInt64 = 0
        /// By outcome, those that occurred; the words of `Series.Word`.
        var words: [Int: [UInt64]] = [:]

        /// The words of `RetryHistogram`; empty where there were none.
        var retries: [UInt64] = []

        var outcomes: [(Int, [UInt64])] { words.sorted { $0.key < $1.key } }

        /// Ends are read before beginnings: never less than nothing.
        var active: UInt64 {
            let ended = words.values.reduce(0 as UInt64) { sum, words in
                words[Series.Word.latencies].reduce(sum, &+)
            }
            return started > ended ? started - ended : 0
        }

        func total(_ word: Int) -> UInt64 { words.values.reduce(0) { $0 &+ $1[word] } }
    }

    private(set) var calls: [Sums] = []
    private(set) var attempts: [Sums] = []
    private(set) var clientCalls: [Sums] = []

    init(_ counters: [Counters]) {
        var sums: [SeriesKey: Sums] = [:]
        for series in counters.flatMap(\.series.all) {
            var sum = sums[series.key] ?? Self.empty(series.key)
            for (outcome, block) in series.outcomes {
                Self.add(block, to: &sum.words[outcome, default: []])
            }
            if let retries = series.retries { Self.add(retries, to: &sum.retries) }
            sum.started &+= series.startedCount
            sums[series.key] = sum
        }
        for (key, sum) in sums.sorted(by: { Self.order($0.value) < Self.order($1.value) }) {
            switch key {
            case .call: calls.append(sum)
            case .attempt: attempts.append(sum)
            case .clientCall: clientCalls.append(sum)
            }
        }
    }

    private static func add(_ block: CounterBlock, to words: inout [UInt64]) {
        if words.isEmpty { words = [UInt64](repeating: 0, count: block.count) }
        for index in words.indices { words[index] &+= block[index] }
    }

    private static func order(_ sums: Sums) -> String {
        sums.labels.map(\.value).joined(separator: "\u{1}")
    }

    private static func empty(_ key: SeriesKey) -> Sums {
        switch key {
        case .call(let listener, let route, let method):
            let place = [("listener", listener), ("route", route)]
            guard let method else { return Sums(labels: place, isGRPC: false) }
            return Sums(labels: [("grpc_method", method)] + place, isGRPC: true)
        case .attempt(let upstream, let endpoint):
            return Sums(
                labels: [("grpc_target", upstream), ("endpoint", "\(endpoint)")], isGRPC: true)
        case .clientCall(let upstream):
            return Sums(labels: [("grpc_target", upstream)], isGRPC: true)
        }
    }
}
