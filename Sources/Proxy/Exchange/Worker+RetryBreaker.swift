internal import Synchronization

/// The breaker of retries: how many calls may be tried again at once, in the whole process,
/// whatever their budget says. A call counts from its first retry on until it has an answer, or its
/// end.
extension Worker {
    /// False where another call may not be tried again now.
    func holdsRetry(_ exchange: Exchange, _ pool: UpstreamPool) -> Bool {
        if exchange.heldRetry != nil { return true }
        guard pool.beginRetry() else {
            exceeded(.upstreamRetries, "upstream=\(pool.name)")
            return false
        }
        exchange.heldRetry = Borrowed(pool)
        return true
    }

    @inline(always)
    func letRetryGo(_ exchange: Exchange) {
        guard let pool = exchange.heldRetry else { return }
        exchange.heldRetry = nil
        pool.use { $0.endRetry() }
    }
}
