/// Where a socket listens or connects: an IP address and port, or the path of a unix socket.
///
/// Text forms: `127.0.0.1:8080`, `[::1]:8080`, `unix:/run/weir/orders.sock`, and `unix:@name` for
/// Linux's abstract names.
public enum SocketAddress: Hashable, Sendable {
    /// The address as a number: 127.0.0.1 is 0x7f00_0001.
    case ipv4(address: UInt32, port: UInt16)
    /// The first and the last eight octets as numbers: ::1 is (0, 1).
    case ipv6(high: UInt64, low: UInt64, port: UInt16)
    /// A file, or after `@` an abstract name.
    case unix(path: String)
}

extension SocketAddress {
    /// IPv6, or the IPv4 address that is mapped into it (RFC 4291, 2.5.5.2): a client that came to
    /// `[::]` by IPv4.
    public init(high: UInt64, low: UInt64, port: UInt16) {
        self =
            high == 0 && low >> 32 == 0xffff
            ? .ipv4(address: UInt32(truncatingIfNeeded: low), port: port)
            : .ipv6(high: high, low: low, port: port)
    }
}
