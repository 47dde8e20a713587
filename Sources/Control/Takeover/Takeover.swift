/// How far this process is with taking over from another one.
///
///     preparing -> accepting -> over
///
/// - preparing: it has the sockets, and accepts nothing, so that no call waits for what is found
///   out first: endpoints by name, keys of token issuers.
/// - accepting: its workers have the configuration. Both processes accept until all of them have.
/// - over: the predecessor was told to go.
struct Takeover {
    /// What does not settle is not waited for longer than that.
    static let patienceNanoseconds: Int64 = 10_000_000_000

    let predecessor: Predecessor
    private let deadline: Int64
    private(set) var isPreparing = true
    /// All that is found out first was found out, or has failed.
    var isSettled = false

    init(_ predecessor: Predecessor, now: Int64) {
        self.predecessor = predecessor
        deadline = now + Self.patienceNanoseconds
    }

    /// True once, when it is time to accept.
    mutating func begins(at now: Int64) -> Bool {
        guard isPreparing, isSettled || now >= deadline else { return false }
        isPreparing = false
        return true
    }
}
