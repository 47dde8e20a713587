@testable import Proxy

extension Message {
    /// Bytes that came, as an array.
    mutating func received(_ bytes: [UInt8], _ pool: SegmentPool, now: Int64) {
        unsafe bodyReceived(bytes.span.bytes, pool, now: now)
    }
}
