internal import Glibc

/// Which seeds to run: `WEIR_SEED` names one, `WEIR_SEEDS` says how many.
public enum Seeds {
    public static func chosen(default seeds: ClosedRange<UInt64>) -> [UInt64] {
        if let seed = number("WEIR_SEED") { return [seed] }
        if let count = number("WEIR_SEEDS"), count > 0 { return Array(1...count) }
        return Array(seeds)
    }

    private static func number(_ name: String) -> UInt64? {
        guard let value = unsafe getenv(name) else { return nil }
        return unsafe UInt64(String(cString: value))
    }
}
