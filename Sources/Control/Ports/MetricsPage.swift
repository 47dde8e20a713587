internal import Configuration
internal import Proxy
internal import Rules
internal import Wire

/// `/metrics`: what docs/metrics.md lists, of all workers together.
struct MetricsPage {
    private let facts: ProcessState.Facts
    private let accessLogDropped: UInt64
    private let counters: [Counters]
    private var page = Exposition()

    static func bytes(_ state: ProcessState) -> [UInt8] {
        var page = MetricsPage(state)
        page.writeProcess()
        page.writeConfiguration()
        page.writeTokens()
        page.writeConnections()
        page.writeDiscovery()
        page.writeCalls()
        page.writeAttempts()
        page.writeRetries()
        page.writeAccess()
        page.writeRateLimits()
        page.writeEndings()
        page.writeWorkers()
        page.writeOverload()
        return page.page.bytes
    }

    private init(_ state: ProcessState) {
        facts = state.now
        accessLogDropped = state.accessLog.dropped
        counters = facts.workers.map(\.counters)
    }

    private func total(_ event: Counters.Event) -> UInt64 {
        counters.reduce(0) { $0 &+ $1.value(event) }
    }

    // MARK: The process

    private mutating func writeProcess() {
        page.family("weir_build_info", .gauge, "1; the version is a label.")
        page.sample("weir_build_info", [("version", Product.version)], 1)
        page.family("process_start_time_seconds", .gauge, "When it was started, since 1970.")
        page.sample("process_start_time_seconds", seconds: UInt64(clamping: facts.startedAt))
        page.family("process_resident_memory_bytes", .gauge, "Memory that is resident.")
        page.sample("process_resident_memory_bytes", ProcessFigures.residentBytes)
        page.family("process_open_fds", .gauge, "Descriptors that are open.")
        page.sample("process_open_fds", ProcessFigures.openDescriptors)
        page.family("process_max_fds", .gauge, "Descriptors that may be open.")
        page.sample("process_max_fds", Descriptors.limit)
        page.family("process_cpu_seconds_total", .counter, "Time on a CPU, user and kernel.")
        page.sample("process_cpu_seconds_total", seconds: ProcessFigures.cpuNanoseconds)
        page.family("weir_draining", .gauge, "1 once the process has been asked to end.")
        page.sample("weir_draining", facts.isDraining ? 1 : 0)
        page.family(
            "weir_access_log_dropped_total", .counter,
            "Lines that were not written, as the disk could not keep up.")
        page.sample("weir_access_log_dropped_total", accessLogDropped)
    }

    private mutating func writeConfiguration() {
        let revision = facts.snapshot?.revision ?? ""
        page.family("weir_config_info", .gauge, "1; the revision in use is a label.")
        page.sample("weir_config_info", [("revision", revision)], 1)
        page.family(
            "weir_config_loaded_timestamp_seconds", .gauge, "When it was installed, since 1970.")
        page.sample(
            "weir_config_loaded_timestamp_seconds", seconds: UInt64(clamping: facts.loadedAt))
        page.family("weir_config_last_load_failed", .gauge, "1 while the newest text is refused.")
        page.sample("weir_config_last_load_failed", facts.lastErrors.isEmpty ? 0 : 1)
        let name = "weir_config_reloads_total"
        page.family(name, .counter, "Loads after the first, by what became of them.")
        page.sample(name, [("outcome", "installed")], facts.reloads.installed)
        page.sample(name, [("outcome", "unchanged")], facts.reloads.unchanged)
        page.sample(name, [("outcome", "refused")], facts.reloads.refused)
    }

    private mutating func writeTokens() {
        let expiry = "weir_certificate_expiry_timestamp_seconds"
        page.family(
            expiry, .gauge, "When the first certificate, authority or list of an entry ends.")
        for entry in facts.snapshot?.expiries ?? [] where entry.at < .max {
            page.sample(
                expiry, [("kind", entry.kind.rawValue), ("name", entry.name)],
                UInt64(clamping: entry.at))
        }
        let name = "weir_tokens_total"
        page.family(name, .counter, "Tokens of requests.")
        page.sample(name, [("outcome", "verified")], total(.tokensVerified))
        page.sample(name, [("outcome", "refused")], total(.tokensRefused))
        page.sample(name, [("outcome", "throttled")], total(.tokensThrottled))
    }

    private mutating func writeConnections() {
        page.family(
            "weir_downstream_connections_opened_total", .counter, "Connections from clients.")
        page.sample("weir_downstream_connections_opened_total", total(.connectionsAccepted))
        page.family("weir_downstream_connections", .gauge, "Connections of clients now.")
        if let snapshot = facts.snapshot {
            for (listener, count) in zip(snapshot.listeners, facts.connections) {
                page.sample(
                    "weir_downstream_connections", [("listener", listener.name)],
                    UInt64(clamping: count.value))
            }
        }
        let others = "weir_other_protocol_connections_total"
        page.family(others, .counter, "Clients that speak something else than HTTP/2.")
        page.sample(others, [("protocol", "http1")], total(.http1Clients))
        page.sample(others, [("protocol", "tls")], total(.tlsClients))
        let errors = "weir_protocol_errors_total"
        page.family(errors, .counter, "Connections whose peers broke HTTP/2's rules.")
        page.sample(errors, [("by", "client")], total(.clientErrors))
        page.sample(errors, [("by", "upstream")], total(.serverErrors))
        let refused = "weir_proxy_protocol_refused_total"
        page.family(refused, .counter, "Connections ended for want of a PROXY header.")
        page.sample(refused, [("reason", "sender")], total(.proxySendersRefused))
        page.sample(refused, [("reason", "header")], total(.proxyHeadersRefused))
        page.family(
            "weir_accept_exhausted_total", .counter,
            "Times that accepting rested as no descriptor was left.")
        page.sample("weir_accept_exhausted_total", total(.acceptExhausted))
        page.family("weir_upstream_connects_total", .counter, "Connections begun to servers.")
        page.sample("weir_upstream_connects_total", total(.upstreamConnects))
        page.family("weir_upstream_connect_failures_total", .counter, "Those that failed.")
        page.sample("weir_upstream_connect_failures_total", total(.upstreamConnectFailures))
        writeUpstreams()
    }

    private mutating func writeUpstreams() {
        guard let snapshot = facts.snapshot else { return }
        let upstreams = Array(zip(snapshot.upstreams, facts.counts))
        let families: [(String, String, (UpstreamCounts) -> Int)] = [
            ("weir_upstream_connections", "Connections to servers now.", { $0.connectionCount }),
            ("weir_upstream_requests", "Requests that servers work on.", { $0.requestCount }),
            ("weir_upstream_pending", "Requests that wait for a connection.", { $0.pendingCount }),
            ("weir_upstream_retries", "Requests that are being tried again.", { $0.retryCount }),
        ]
        for (name, help, value) in families {
            page.family(name, .gauge, help)
            for (terms, counts) in upstreams {
                page.sample(name, [("upstream", terms.name)], UInt64(clamping: value(counts)))
            }
        }
        page.family(
            "weir_upstream_adaptive_concurrency", .gauge,
            "What adaptive concurrency allows at once, of all workers that have asked.")
        for (terms, counts) in upstreams where terms.conduct.adaptive != nil {
            page.sample(
                "weir_upstream_adaptive_concurrency", [("upstream", terms.name)],
                UInt64(clamping: counts.adaptiveConcurrency))
        }
        page.family(
            "weir_upstream_panics_total", .counter,
            "Times that a worker used all endpoints again, as few were available.")
        for (terms, counts) in upstreams {
            page.sample(
                "weir_upstream_panics_total", [("upstream", terms.name)],
                UInt64(clamping: counts.panicCount))
        }
        HealthFigures.write(upstreams, to: &page)
        MirrorFigures(facts).write(to: &page)
        page.family("weir_health_checks_total", .counter, "Health checks of endpoints.")
        page.sample("weir_health_checks_total", [("outcome", "passed")], total(.healthChecksPassed))
        page.sample("weir_health_checks_total", [("outcome", "failed")], total(.healthChecksFailed))
    }

    private mutating func writeDiscovery() {
        let sources = (facts.snapshot?.upstreams ?? []).compactMap { terms in
            terms.source.map { (terms.name, facts.discovery[$0] ?? DiscoveryFacts()) }
        }
        page.family("weir_discovery_endpoints", .gauge, "Endpoints that were found last.")
        for (name, facts) in sources {
            let count = UInt64(facts.endpoints.count)
            page.sample("weir_discovery_endpoints", [("upstream", name)], count)
        }
        page.family(
            "weir_discovery_answer_age_seconds", .gauge, "How old the last good answer is.")
        for (name, facts) in sources {
            guard let at = facts.answeredAt else { continue }
            let age = UInt64(clamping: Waiting.nowSince1970() - at)
            page.sample("weir_discovery_answer_age_seconds", [("upstream", name)], seconds: age)
        }
        page.family("weir_discovery_failing", .gauge, "1 while the last lookup or read failed.")
        for (name, facts) in sources {
            let isFailing: UInt64 = facts.lastError == nil ? 0 : 1
            page.sample("weir_discovery_failing", [("upstream", name)], isFailing)
        }
        let lookups = "weir_discovery_lookups_total"
        page.family(lookups, .counter, "Lookups and reads, by whether anything good came of them.")
        for (name, facts) in sources {
            page.sample(lookups, [("upstream", name), ("outcome", "answered")], facts.answers)
            page.sample(lookups, [("upstream", name), ("outcome", "failed")], facts.failures)
        }
        page.family("weir_discovery_changes_total", .counter, "Times that endpoints changed.")
        for (name, facts) in sources {
            page.sample("weir_discovery_changes_total", [("upstream", name)], facts.changes)
        }
    }

    // MARK: Requests

    private mutating func writeCalls() {
        let series = SeriesSums(counters).calls
        page.family(
            "grpc_server_call_started_total", .counter, "Calls from clients that have begun.")
        for sums in series where sums.isGRPC {
            page.sample("grpc_server_call_started_total", sums.labels, sums.started)
        }
        page.family("weir_http_requests_started_total", .counter, "Requests that are not gRPC.")
        for sums in series where !sums.isGRPC {
            page.sample("weir_http_requests_started_total", sums.labels, sums.started)
        }
        page.family("weir_requests_active", .gauge, "Requests that have begun and not ended.")
        for sums in series { page.sample("weir_requests_active", sums.labels, sums.active) }
        writeHistogram(
            "grpc_server_call_duration_seconds", "From HEADERS to the end of the answer.",
            series, isGRPC: true)
        writeHistogram(
            "weir_http_request_duration_seconds", "From HEADERS to the end of the answer.",
            series, isGRPC: false)
        writeSizes(
            "grpc_server_call_rcvd_total_compressed_message_size_bytes",
            "Messages from clients, each call's.", series, .request)
        writeSizes(
            "grpc_server_call_sent_total_compressed_message_size_bytes",
            "Messages to clients, each call's.", series, .response)
        let words: [(String, String, Int)] = [
            ("weir_request_body_bytes_total", "DATA from clients.", Series.Word.requestBytes),
            ("weir_response_body_bytes_total", "DATA to clients.", Series.Word.responseBytes),
            (
                "weir_request_messages_total", "gRPC messages from clients.",
                Series.Word.requestMessages
            ),
            (
                "weir_response_messages_total", "gRPC messages to clients.",
                Series.Word.responseMessages
            ),
        ]
        for (name, help, word) in words {
            page.family(name, .counter, help)
            for sums in series { page.sample(name, sums.labels, sums.total(word)) }
        }
    }

    private mutating func writeAttempts() {
        let sums = SeriesSums(counters)
        page.family(
            "grpc_client_call_duration_seconds", .histogram,
            "From HEADERS to the end of the client's stream, of what was to go to an upstream.")
        for sums in sums.clientCalls {
            writeOutcomes("grpc_client_call_duration_seconds", sums) { _ in true }
        }
        writeRetryHistograms(sums.clientCalls)
        let series = sums.attempts
        page.family(
            "grpc_client_attempt_started_total", .counter, "Requests handed to a server's stream.")
        for sums in series {
            page.sample("grpc_client_attempt_started_total", sums.labels, sums.started)
        }
        page.family(
            "grpc_client_attempt_duration_seconds", .histogram,
            "From handing it over to the end of the client's stream.")
        for sums in series {
            writeOutcomes("grpc_client_attempt_duration_seconds", sums) { _ in true }
        }
        writeSizes(
            "grpc_client_attempt_sent_total_compressed_message_size_bytes",
            "Messages to a server, each call's.", series, .request)
        writeSizes(
            "grpc_client_attempt_rcvd_total_compressed_message_size_bytes",
            "Messages from a server, each call's.", series, .response)
    }

    /// The histograms of gRFC A96, of calls that had a second attempt.
    private mutating func writeRetryHistograms(_ calls: [SeriesSums.Sums]) {
        let numbers: [(String, String, RetryHistogram)] = [
            ("retries", "Attempts that a policy made after a call's first.", .retries),
            (
                "transparent_retries", "Attempts after one that no server has processed.",
                .transparent
            ),
            ("hedges", "Attempts beside a call's first.", .hedges),
        ]
        let retried = calls.filter { !$0.retries.isEmpty }
        for (word, help, histogram) in numbers {
            let name = "grpc_client_call_\(word)"
            page.family(name, .histogram, help)
            for sums in retried {
                page.histogram(
                    name, sums.labels, upTo: RetryHistogram.bounds,
                    buckets: Array(sums.retries[histogram.buckets]),
                    sum: sums.retries[histogram.sum])
            }
        }
        let name = "grpc_client_call_retry_delay_seconds"
        page.family(
            name, .histogram, "Time without an attempt under way, of calls that had several.")
        for sums in retried {
            let histogram = RetryHistogram.delay
            page.histogram(
                name, sums.labels, bounds: LatencyBuckets.bounds,
                buckets: Array(sums.retries[histogram.buckets]),
                sum: sums.retries[histogram.sum])
        }
    }

    private mutating func writeRetries() {
        var name = "weir_retries_total"
        page.family(name, .counter, "Attempts after a call's first, by why they were made.")
        page.sample(name, [("kind", "policy")], total(.retries))
        page.sample(name, [("kind", "transparent")], total(.transparentRetries))
        page.sample(name, [("kind", "hedge")], total(.hedges))
        name = "weir_not_retried_total"
        page.family(
            name, .counter, "Calls whose last attempt failed, by why there was no other.")
        for index in (counters.first?.unretried ?? []).indices {
            let count = counters.reduce(0 as UInt64) { $0 &+ $1.unretried[index].count }
            page.sample(name, [("reason", counters[0].unretried[index].reason)], count)
        }
    }

    private enum Direction { case request, response }

    /// Without the five bytes before each message.
    private mutating func writeSizes(
        _ name: String, _ help: String, _ series: [SeriesSums.Sums], _ direction: Direction
    ) {
        let isRequest = direction == .request
        let first = isRequest ? Series.Word.requestSizes : Series.Word.responseSizes
        let bytes = isRequest ? Series.Word.requestBytes : Series.Word.responseBytes
        let messages = isRequest ? Series.Word.requestMessages : Series.Word.responseMessages
        page.family(name, .histogram, help)
        for sums in series where sums.isGRPC {
            for (outcome, words) in sums.outcomes where Outcome.isGRPC(outcome) {
                page.histogram(
                    name, sums.labels + [("grpc_status", Outcome.name(outcome))],
                    sizes: Array(words[Series.Word.sizes(from: first)]),
                    sum: Series.Word.messageBytes(words[bytes], messages: words[messages]))
            }
        }
    }

    private mutating func writeHistogram(
        _ name: String, _ help: String, _ series: [SeriesSums.Sums], isGRPC: Bool
    ) {
        page.family(name, .histogram, help)
        for sums in series where sums.isGRPC == isGRPC {
            writeOutcomes(name, sums) { Outcome.isGRPC($0) == isGRPC }
        }
    }

    private mutating func writeOutcomes(
        _ name: String, _ sums: SeriesSums.Sums, where isWanted: (Int) -> Bool
    ) {
        for (outcome, words) in sums.outcomes where isWanted(outcome) {
            let label = Outcome.isGRPC(outcome) ? "grpc_status" : "status"
            page.histogram(
                name, sums.labels + [(label, Outcome.name(outcome))], bounds: LatencyBuckets.bounds,
                buckets: Array(words[Series.Word.latencies]), sum: words[Series.Word.nanoseconds])
        }
    }

    private mutating func writeEndings() {
        var name = "weir_exchanges_ended_total"
        page.family(name, .counter, "How requests ended, in the access log's words (`reason`).")
        for index in (counters.first?.endings ?? []).indices {
            let reason = counters[0].endings[index].reason
            let count = counters.reduce(0 as UInt64) { $0 &+ $1.endings[index].count }
            if reason != "open" { page.sample(name, [("reason", reason)], count) }
        }
        name = "weir_stream_resets_total"
        page.family(name, .counter, "RST_STREAM and GOAWAY that ended requests, by whom and code.")
        for index in (counters.first?.streamResets ?? []).indices {
            let (by, code, _) = counters[0].streamResets[index]
            let count = counters.reduce(0 as UInt64) { $0 &+ $1.streamResets[index].count }
            if count > 0 { page.sample(name, [("by", by), ("code", code)], count) }
        }
        name = "weir_limits_tripped_total"
        page.family(name, .counter, "Limits and timers that ended something, by name.")
        for limit in Limit.allCases {
            let count = counters.reduce(0 as UInt64) { $0 &+ $1.value(limit) }
            page.sample(name, [("limit", limit.name)], count)
        }
        name = "weir_faults_injected_total"
        page.family(name, .counter, "Faults that routes put into their own traffic.")
        page.sample(name, [("fault", "delay")], total(.faultDelays))
        page.sample(name, [("fault", "abort")], total(.faultAborts))
        page.family("weir_answers_total", .counter, "Answers that Weir gave itself.")
        page.sample("weir_answers_total", total(.localAnswers))
    }

    private mutating func writeAccess() {
        var sums: [String: [UInt64]] = [:]
        for counts in counters.flatMap(\.access.all) {
            var words = sums[counts.rule] ?? [UInt64](repeating: 0, count: counts.block.count)
            for index in words.indices { words[index] &+= counts.block[index] }
            sums[counts.rule] = words
        }
        let rules = sums.sorted { $0.key < $1.key }
        page.family(
            "weir_access_decisions_total", .counter,
            "Requests by the access rule that decided, empty for the default, and its verdict.")
        for (rule, words) in rules {
            for (index, verdict) in AccessCounts.Word.verdicts.enumerated() where words[index] > 0 {
                page.sample(
                    "weir_access_decisions_total", [("rule", rule), ("verdict", verdict)],
                    words[index])
            }
        }
        page.family(
            "weir_access_dry_run_total", .counter,
            "Requests that would have been decided otherwise were dry runs enforced.")
        let changes = [
            (AccessCounts.Word.wouldAllow, "allow"), (AccessCounts.Word.wouldRefuse, "refuse"),
        ]
        for (rule, words) in rules {
            for (index, would) in changes where words[index] > 0 {
                page.sample(
                    "weir_access_dry_run_total", [("rule", rule), ("would", would)], words[index])
            }
        }
    }

    private mutating func writeRateLimits() {
        let figures = RateLimitFigures(facts).all
        page.family(
            "weir_rate_limit_requests_total", .counter,
            "Requests by rate limit: allowed, limited, or would_limit by a dry run.")
        for limit in figures {
            for (outcome, count) in limit.outcomes {
                page.sample(
                    "weir_rate_limit_requests_total",
                    [("limit", limit.name), ("outcome", outcome)], count)
            }
        }
        page.family(
            "weir_rate_limit_evictions_total", .counter,
            "Buckets that were forgotten before they were full, to make room for others.")
        for limit in figures {
            page.sample(
                "weir_rate_limit_evictions_total", [("limit", limit.name)], limit.evictions)
        }
    }

    private mutating func writeOverload() {
        let stage = "weir_overload_stage"
        page.family(stage, .gauge, "0 all is done, 1 idle clients go, 2 no requests, 3 no clients.")
        page.sample(stage, [("cause", "memory")], UInt64(facts.memory.stage.rawValue))
        for (index, counters) in counters.enumerated() {
            let labels = [("cause", "lag"), ("worker", "\(index)")]
            page.sample(stage, labels, UInt64(counters.overloadStage.rawValue))
        }
        page.family("weir_overload_memory_bytes", .gauge, "Memory that counts for the budget.")
        page.sample("weir_overload_memory_bytes", facts.memory.usedBytes)
        page.family("weir_overload_memory_budget_bytes", .gauge, "The budget; 0 is none.")
        page.sample("weir_overload_memory_budget_bytes", facts.memory.budgetBytes)
        page.family("weir_overload_refused_total", .counter, "Requests that were refused for it.")
        page.sample("weir_overload_refused_total", total(.overloadRefusals))
        page.family("weir_overload_departures_total", .counter, "Idle clients told to go for it.")
        page.sample("weir_overload_departures_total", total(.overloadDepartures))
    }

    // MARK: Workers

    private mutating func writeWorkers() {
        page.family("weir_workers", .gauge, "Threads that serve.")
        page.sample("weir_workers", UInt64(counters.count))
        page.family(
            "weir_worker_turn_seconds", .histogram,
            "How long turns of a worker's loop took: what is ready then waits for so long.")
        for (index, counters) in counters.enumerated() {
            let buckets = (0..<LatencyBuckets.count).map { counters.turns[$0] }
            page.histogram(
                "weir_worker_turn_seconds", [("worker", "\(index)")], bounds: LatencyBuckets.bounds,
                buckets: buckets, sum: counters.turns[LatencyBuckets.count])
        }
    }
}
