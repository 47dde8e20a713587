@testable import Proxy

extension HeaderBlock {
    /// True where both are one list in memory.
    func isShared(with other: HeaderBlock) -> Bool { unsafe fields == other.fields }
}
