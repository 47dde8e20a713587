internal import Glibc

/// How many descriptors the process may have.
enum Descriptors {
    static var limit: UInt64 {
        var limit = rlimit()
        unsafe _ = getrlimit(resource, &limit)
        return UInt64(limit.rlim_cur)
    }

    /// Takes all that it is allowed: the soft limit is low (1,024 as a rule) for programs that use
    /// `select`, and none of this one does.
    static func raiseLimit() {
        var limit = rlimit()
        guard unsafe getrlimit(resource, &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        unsafe _ = setrlimit(resource, &limit)
    }

    private static var resource: __rlimit_resource_t {
        __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    }
}
