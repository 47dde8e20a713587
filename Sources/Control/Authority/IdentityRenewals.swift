internal import Configuration
internal import Identity
internal import Proxy
internal import Synchronization
internal import Wire

/// Renews identities whose entries name an authority: asks it on a thread of its own, and replaces
/// the files, which are watched like all that a configuration names. Belongs to the control thread.
final class IdentityRenewals {
    private struct Outcome {
        let name: String
        let digest: [UInt8]
        let isRenewed: Bool
    }

    private final class Outcomes: Sendable {
        let list = Mutex<[Outcome]>([])
    }

    private let log: EventLog
    private let outcomes = Outcomes()
    private var schedule = RenewalSchedule()
    private var identities: [RenewedIdentity] = []

    init(_ log: EventLog) { self.log = log }

    /// Keeps these renewed and no others from now on.
    func follow(_ identities: [RenewedIdentity]) {
        self.identities = identities
        let subjects = identities.map {
            RenewalSchedule.Subject(
                name: $0.name, digest: $0.current.digest, notBefore: $0.current.notBefore,
                notAfter: $0.current.notAfter)
        }
        schedule.follow(subjects) { .random(in: 0.45...0.55) }
    }

    /// Begins what is due. True where files have changed since.
    func look(at now: Int64) -> Bool {
        let ended = outcomes.list.withLock { list in
            defer { list = [] }
            return list
        }
        for outcome in ended {
            schedule.ended(
                outcome.name, outcome.digest, isRenewed: outcome.isRenewed, at: now)
        }
        for name in schedule.takeDue(at: now) {
            guard let identity = identities.first(where: { $0.name == name }) else { continue }
            begin(identity, at: now)
        }
        return ended.contains(where: \.isRenewed)
    }

    /// Milliseconds until there is something to do, at most so many.
    func milliseconds(atMost limit: Int32, at now: Int64) -> Int32 {
        guard let due = schedule.nextDue else { return limit }
        return Int32(clamping: min(Int64(limit), max(0, due - now) * 1_000))
    }

    private func begin(_ identity: RenewedIdentity, at now: Int64) {
        let (log, outcomes) = (log, outcomes)
        let isStarted = Thread.start {
            let isRenewed = Self.renew(identity, at: now, log)
            let digest = identity.current.digest
            let outcome = Outcome(name: identity.name, digest: digest, isRenewed: isRenewed)
            outcomes.list.withLock { $0.append(outcome) }
        }
        if !isStarted {
            schedule.ended(identity.name, identity.current.digest, isRenewed: false, at: now)
        }
    }

    private static func renew(
        _ identity: RenewedIdentity, at now: Int64, _ log: EventLog
    ) -> Bool {
        do {
            let next = try RenewalClient.renew(
                identity.current, kind: keyKind(of: identity.current), socket: identity.socket,
                at: now)
            try write(next, to: identity)
            log.write(.info, "renewed identity=\(identity.name)")
            return true
        } catch {
            let end = UTC.text(seconds: identity.current.notAfter)
            log.write(
                .warning,
                "not renewed identity=\(identity.name) expires=\(end): \(error)")
            return false
        }
    }

    /// As before.
    private static func keyKind(of identity: LocalIdentity) -> PrivateKey.Kind {
        let certificate = try? Certificate(der: identity.chain[0])
        return certificate?.key == .ed25519 ? .ed25519 : .p256
    }

    /// The key first: read in between, the two do not fit, and what is there stays in use.
    private static func write(
        _ next: RenewalClient.Renewed, to identity: RenewedIdentity
    ) throws(AtomicFile.Failure) {
        if identity.certificate == identity.privateKey {
            try AtomicFile.write(
                next.certificate + next.key.pem, to: identity.certificate, .secret)
        } else {
            try AtomicFile.write(next.key.pem, to: identity.privateKey, .secret)
            try AtomicFile.write(next.certificate, to: identity.certificate, .open)
        }
    }
}
