internal import Rules
internal import Synchronization

/// The buckets of one rate limit, shared by all workers: a fixed number of them, found by key.
///
/// A set of eight places is all where a key may be. A key that is new takes an empty place of its
/// set, and else that of the bucket which is nearest to full. What is forgotten with it is what was
/// taken from that bucket: nothing where it was full, and always the least that could be. So a
/// crowd of made-up keys pushes out itself, each of them a bucket with one token taken; to push out
/// a bucket from which n were taken, n must be taken from each of seven others of its set, which
/// nobody can tell from outside (keys are hashed with the process's seed).
///
/// Taking is one compare-and-exchange of the bucket's word, and a refusal writes nothing. A key is
/// put in behind a mutex, so that none has two buckets; whoever took from a place looks afterwards
/// whose place it is, so that a bucket is never charged for another's without an answer of its own.
@safe
public final class BucketTable: @unchecked Sendable {
    private static let ways = 8
    private static let triesMax = 4

    /// A key and its bucket's state, for each place. The key 0 is nobody's.
    private let words: UnsafeMutablePointer<Atomic<Int64>>
    private let sets: Int
    private let insertion = Mutex<Void>(())
    private let evictions = Atomic<UInt64>(0)

    /// - keys: places, rounded up to what whole sets give.
    public init(keys: Int) {
        var sets = 1
        while sets * Self.ways < keys { sets *= 2 }
        self.sets = sets
        let count = sets * Self.ways * 2
        unsafe words = .allocate(capacity: count)
        for index in 0..<count { unsafe (words + index).initialize(to: Atomic(0)) }
    }

    deinit {
        unsafe words.deinitialize(count: sets * Self.ways * 2)
        unsafe words.deallocate()
    }

    public var capacity: Int { sets * Self.ways }

    /// Buckets that gave up their place though they were not full.
    public var evicted: UInt64 { evictions.load(ordering: .relaxed) }

    /// Buckets that are not full.
    public func used(at now: Int64) -> Int {
        (0..<capacity).count { load(key: $0) != 0 && load(state: $0) > now }
    }

    // MARK: Taking

    func take(
        _ count: Int64, of key: UInt64, _ bucket: TokenBucket, at now: Int64
    ) -> TokenBucket.Outcome {
        let key = Self.word(key)
        for _ in 0..<Self.triesMax {
            let place = find(key) ?? insert(key, at: now)
            let outcome = take(count, at: place, bucket, now)
            if load(key: place) == key { return outcome }
        }
        // Its place was given away each time: what comes so fast is no longer one caller.
        return .refused(wait: bucket.interval)
    }

    private func take(
        _ count: Int64, at place: Int, _ bucket: TokenBucket, _ now: Int64
    ) -> TokenBucket.Outcome {
        var state = load(state: place)
        while true {
            let outcome = bucket.take(count, from: state, at: now)
            guard case .taken(let next) = outcome else { return outcome }
            let (isDone, found) = unsafe words[place &* 2 &+ 1].weakCompareExchange(
                expected: state, desired: next, ordering: .acquiringAndReleasing)
            if isDone { return outcome }
            state = found
        }
    }

    /// Tokens of a batch that were not used; they are lost where the key has gone.
    func giveBack(_ count: Int64, of key: UInt64, _ bucket: TokenBucket) {
        let key = Self.word(key)
        guard let place = find(key) else { return }
        unsafe words[place &* 2 &+ 1].subtract(
            count &* bucket.interval, ordering: .acquiringAndReleasing)
    }

    /// The buckets have new terms.
    func adopt(_ bucket: TokenBucket, at now: Int64) {
        for place in 0..<capacity {
            let state = load(state: place)
            let adopted = bucket.adopted(state, at: now)
            if adopted == state { continue }
            // Where that fails somebody has taken from it: under the new terms, or the old ones,
            // and adopts them after this.
            _ = unsafe words[place &* 2 &+ 1].compareExchange(
                expected: state, desired: adopted, ordering: .acquiringAndReleasing)
        }
    }

    // MARK: Places

    private static func word(_ key: UInt64) -> Int64 { key == 0 ? 1 : Int64(bitPattern: key) }

    /// The first place of a key's set, from other bits than what a worker's leases go by.
    private func start(_ key: Int64) -> Int {
        Int(UInt64(bitPattern: key) >> 24) & (sets &- 1) &* Self.ways
    }

    private func load(key place: Int) -> Int64 {
        unsafe words[place &* 2].load(ordering: .acquiring)
    }

    private func load(state place: Int) -> Int64 {
        unsafe words[place &* 2 &+ 1].load(ordering: .acquiring)
    }

    private func find(_ key: Int64) -> Int? {
        let start = start(key)
        for place in start..<(start &+ Self.ways) where load(key: place) == key { return place }
        return nil
    }

    private func insert(_ key: Int64, at now: Int64) -> Int {
        insertion.withLock { _ in
            // Another worker may have been first.
            if let place = find(key) { return place }
            let start = start(key)
            var best = start
            for place in start..<(start &+ Self.ways) {
                if load(key: place) == 0 {
                    best = place
                    break
                }
                if load(state: place) < load(state: best) { best = place }
            }
            if load(key: best) != 0, load(state: best) > now {
                evictions.add(1, ordering: .relaxed)
            }
            // Nobody's while its state changes: who took from it meanwhile will see that.
            unsafe words[best &* 2].store(0, ordering: .releasing)
            unsafe words[best &* 2 &+ 1].store(TokenBucket.full, ordering: .releasing)
            unsafe words[best &* 2].store(key, ordering: .releasing)
            return best
        }
    }
}
