internal import COpenSSL
internal import Glibc
internal import Synchronization

/// The keys that session tickets are sealed with (RFC 5077): shared by all listeners and workers,
/// replaced every hour, and good for opening for another one. Nothing of them is ever written down.
public final class TicketKeys: Sendable {
    static let lifetimeSeconds: Int64 = 3_600

    struct Key {
        var name: [UInt8]
        var cipher: [UInt8]
        var mac: [UInt8]
        var madeAt: Int64
    }

    private let keys = Mutex<[Key]>([])

    public init() {}

    /// The key for new tickets.
    func current(at now: Int64) -> Key? {
        keys.withLock { keys in
            if let first = keys.first, now >= first.madeAt,
                now < first.madeAt + Self.lifetimeSeconds
            {
                return first
            }
            guard let next = Self.make(at: now) else { return nil }
            keys = [next] + keys.filter { now < $0.madeAt + 2 * Self.lifetimeSeconds }.prefix(1)
            return next
        }
    }

    /// The key of that name, and whether it still seals.
    func find(_ name: UnsafeBufferPointer<UInt8>, at now: Int64) -> (key: Key, isCurrent: Bool)? {
        keys.withLock { keys in
            guard let index = keys.firstIndex(where: { unsafe $0.name.elementsEqual(name) }),
                now < keys[index].madeAt + 2 * Self.lifetimeSeconds
            else { return nil }
            let isFresh = now < keys[index].madeAt + Self.lifetimeSeconds
            return (keys[index], index == 0 && isFresh)
        }
    }

    private static func make(at now: Int64) -> Key? {
        guard let name = random(16), let cipher = random(32), let mac = random(32) else {
            return nil
        }
        return Key(name: name, cipher: cipher, mac: mac, madeAt: now)
    }

    private static func random(_ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        return unsafe RAND_bytes(&bytes, Int32(count)) == 1 ? bytes : nil
    }
}

/// Gives OpenSSL the key to seal a ticket with, or the one that a ticket names.
let chooseTicketKey:
    @convention(c) (
        OpaquePointer?, UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<UInt8>?, OpaquePointer?,
        OpaquePointer?, CInt
    ) -> CInt = { ssl, name, vector, cipher, mac, isSealing in
        guard let ssl = unsafe ssl, let name = unsafe name, let vector = unsafe vector,
            let ring = unsafe weir_ticket_keys(ssl)
        else { return -1 }
        let now = Int64(time(nil))
        let keys = unsafe Borrowed<TicketKeys>(ring).object
        let chosen: (key: TicketKeys.Key, isCurrent: Bool)
        if isSealing == 1 {
            guard let key = keys.current(at: now), unsafe RAND_bytes(vector, 16) == 1 else {
                return -1
            }
            for index in 0..<16 { unsafe name[index] = key.name[index] }
            chosen = (key, true)
        } else {
            guard
                let found = unsafe keys.find(UnsafeBufferPointer(start: name, count: 16), at: now)
            else { return 0 }
            chosen = found
        }
        let prepared = unsafe prepare(cipher, mac, vector, chosen.key, isSealing: isSealing == 1)
        guard prepared else { return -1 }
        // 2 asks for a new ticket sealed with the current key.
        return isSealing == 1 || chosen.isCurrent ? 1 : 2
    }

private func prepare(
    _ cipher: OpaquePointer?, _ mac: OpaquePointer?, _ vector: UnsafePointer<UInt8>,
    _ key: TicketKeys.Key, isSealing: Bool
) -> Bool {
    let cipherReady = unsafe EVP_CipherInit_ex(
        cipher, EVP_aes_256_cbc(), nil, key.cipher, vector, isSealing ? 1 : 0)
    return unsafe cipherReady == 1 && weir_ticket_mac_init(mac, key.mac, key.mac.count) == 1
}
