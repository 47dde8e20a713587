internal import COpenSSL
internal import Glibc

/// OpenSSL's random numbers from a world's seed, on the thread that runs the world: a history must
/// be the same every time. Other threads keep the real ones.
enum SeededRandom {
    /// From here on, on this thread.
    static func begin(seed: UInt64) {
        guard isInstalled else { return }
        let state = unsafe pthread_getspecific(key) ?? .allocate(byteCount: 8, alignment: 8)
        unsafe state.storeBytes(of: seed, as: UInt64.self)
        unsafe _ = pthread_setspecific(key, state)
    }

    static func end() {
        guard isInstalled, let state = unsafe pthread_getspecific(key) else { return }
        _ = pthread_setspecific(key, nil)
        unsafe state.deallocate()
    }

    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        unsafe _ = pthread_key_create(&key, nil)
        return key
    }()

    private static let isInstalled: Bool = {
        let method = UnsafeMutablePointer<RAND_METHOD>.allocate(capacity: 1)
        unsafe method.initialize(
            to: RAND_METHOD(
                seed: { _, _ in 1 }, bytes: fill, cleanup: {}, add: { _, _, _ in 1 },
                pseudorand: fill, status: { 1 }))
        return unsafe weir_set_random_source(method) == 1
    }()

    /// SplitMix64 where the thread has a seed.
    private static let fill: @convention(c) (UnsafeMutablePointer<UInt8>?, CInt) -> CInt = {
        bytes, count in
        guard let bytes = unsafe bytes else { return 0 }
        guard let place = unsafe pthread_getspecific(key) else {
            return unsafe weir_random_bytes(bytes, count)
        }
        var state = unsafe place.load(as: UInt64.self)
        for index in 0..<Int(count) {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            unsafe bytes[index] = UInt8(truncatingIfNeeded: mixed ^ (mixed >> 31))
        }
        unsafe place.storeBytes(of: state, as: UInt64.self)
        return 1
    }
}
