/// When which identity is to be renewed: at half of its life, and after a failure again, ever
/// later.
///
/// An identity waits, or is being renewed, or has been and waits for the configuration that brings
/// the new one. It does no I/O; times are in seconds.
struct RenewalSchedule {
    struct Subject: Equatable {
        let name: String
        /// Differs for another certificate.
        let digest: [UInt8]
        let notBefore: Int64
        let notAfter: Int64
    }

    private struct Entry {
        let subject: Subject
        var dueAt: Int64
        var failures = 0
        var isRunning = false
    }

    static let firstRetry: Int64 = 5
    static let longestRetry: Int64 = 300

    private var entries: [Entry] = []

    /// Renews these and no others from now on.
    ///
    /// - share: of the life, 0.45 to 0.55: not all instances of a service come at once.
    mutating func follow(_ subjects: [Subject], share: () -> Double) {
        entries = subjects.map { subject in
            if let known = entries.first(where: { $0.subject == subject }) { return known }
            let life = Double(subject.notAfter - subject.notBefore)
            return Entry(subject: subject, dueAt: subject.notBefore + Int64(life * share()))
        }
    }

    /// When something is due next.
    var nextDue: Int64? { entries.filter { !$0.isRunning }.map(\.dueAt).min() }

    /// Names of those to be renewed now. `ended` is to follow for each.
    mutating func takeDue(at now: Int64) -> [String] {
        var names: [String] = []
        for index in entries.indices where !entries[index].isRunning && entries[index].dueAt <= now
        {
            entries[index].isRunning = true
            names.append(entries[index].subject.name)
        }
        return names
    }

    /// - digest: of what was to be renewed.
    mutating func ended(_ name: String, _ digest: [UInt8], isRenewed: Bool, at now: Int64) {
        let place = entries.firstIndex { $0.subject.name == name && $0.subject.digest == digest }
        guard let place else { return }
        entries[place].isRunning = false
        guard !isRenewed else {
            // The configuration brings the new one within moments, unless it is refused for other
            // reasons: then this one is renewed once more before it expires.
            let left = max(entries[place].subject.notAfter - now, 0)
            entries[place].failures = 0
            return entries[place].dueAt = now + max(left / 2, Self.longestRetry)
        }
        let doublings = min(entries[place].failures, 10)
        entries[place].failures += 1
        entries[place].dueAt = now + min(Self.firstRetry << doublings, Self.longestRetry)
    }
}
