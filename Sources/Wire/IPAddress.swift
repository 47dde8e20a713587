/// Where a connection comes from, as rules see it: an IP address without a port, or a unix socket.
///
/// An IPv4 address mapped into IPv6, as a socket for both gives it, is the IPv4 address.
public struct IPAddress: BitwiseCopyable, Hashable, Sendable {
    enum Family: UInt8 { case none, ipv4, ipv6, unix }

    let family: Family
    /// The first eight octets of an IPv6 address.
    let high: UInt64
    /// The last eight, or an IPv4 address as a number.
    let low: UInt64

    private init(_ family: Family, high: UInt64 = 0, low: UInt64 = 0) {
        self.family = family
        self.high = high
        self.low = low
    }

    /// Nowhere: in no range.
    public static var unknown: IPAddress { IPAddress(.none) }
    static var unix: IPAddress { IPAddress(.unix) }

    /// What one subscriber has: of IPv6 the network of 64 bits, which holds any number of addresses
    /// that cost nothing; of the rest the address itself.
    public var subscriber: IPAddress {
        family == .ipv6 ? IPAddress(.ipv6, high: high, low: 0) : self
    }

    public init(ipv4: UInt32) { self.init(.ipv4, low: UInt64(ipv4)) }

    public init(high: UInt64, low: UInt64) {
        if high == 0, low >> 32 == 0xffff {
            self.init(ipv4: UInt32(truncatingIfNeeded: low))
        } else {
            self.init(.ipv6, high: high, low: low)
        }
    }

    public init(_ address: SocketAddress) {
        switch address {
        case .ipv4(let address, _): self.init(ipv4: address)
        case .ipv6(let high, let low, _): self.init(high: high, low: low)
        case .unix: self = .unix
        }
    }

    /// `10.0.0.1` or `::1`, without brackets, zone or port.
    public init?(parsing text: Span<UInt8>) {
        if let address = IPText.ipv4(text) {
            self.init(ipv4: address)
        } else if let halves = IPText.ipv6(text) {
            self.init(high: halves.high, low: halves.low)
        } else {
            return nil
        }
    }
}

extension IPAddress: CustomStringConvertible {
    public var description: String {
        switch family {
        case .none: "unknown"
        case .ipv4: IPText.describe(UInt32(truncatingIfNeeded: low))
        case .ipv6: IPText.describe(high: high, low: low)
        case .unix: "unix"
        }
    }
}

/// A range of addresses: `10.0.0.0/8`, `2001:db8::/32`, one address, or `unix` for whoever comes
/// over a unix socket. A range of IPv6 covers no IPv4 address, not even `::/0`.
public struct AddressRange: BitwiseCopyable, Hashable, Sendable {
    public enum ParseError: Error, Equatable {
        case form
        /// More bits than an address has.
        case length
        /// Bits behind the prefix are set; the range that they are in.
        case hostBits(AddressRange)
    }

    private let first: IPAddress
    private let highMask: UInt64
    private let lowMask: UInt64
    private let length: UInt8

    public init(parsing text: Span<UInt8>) throws(ParseError) {
        let slash = text.indices.first { text[$0] == UInt8(ascii: "/") }
        guard let slash else {
            if text.count == 4, text.shortWord() == 0x756e_6978 {
                self.init(.unix, length: 0)
            } else if let address = IPAddress(parsing: text) {
                self.init(address, length: address.family == .ipv4 ? 32 : 128)
            } else {
                throw .form
            }
            return
        }
        let digits = text.extracting((slash + 1)...)
        guard let address = IPAddress(parsing: text.extracting(..<slash)), digits.count <= 3,
            digits.count == 1 || digits.count > 1 && digits[0] != UInt8(ascii: "0"),
            let number = Decimal.parse(digits)
        else { throw .form }
        // Written as mapped into IPv6, its prefix counts from there.
        let isMapped = address.family == .ipv4 && text.indices.contains { text[$0] == 0x3a }
        let most = address.family == .ipv4 && !isMapped ? 32 : 128
        guard number <= most, !isMapped || number >= 96 else { throw .length }
        self.init(address, length: Int(number) - (isMapped ? 96 : 0))
        if first != address { throw .hostBits(self) }
    }

    /// The range of that prefix which `address` is in.
    private init(_ address: IPAddress, length: Int) {
        let bits = address.family == .ipv4 ? length + 96 : length
        highMask = bits >= 64 ? .max : ~(UInt64.max &>> UInt64(bits))
        lowMask = bits >= 128 ? .max : bits <= 64 ? 0 : ~(UInt64.max &>> UInt64(bits - 64))
        self.length = UInt8(truncatingIfNeeded: length)
        let (high, low) = (address.high & highMask, address.low & lowMask)
        switch address.family {
        case .ipv4: first = IPAddress(ipv4: UInt32(truncatingIfNeeded: low))
        case .ipv6: first = IPAddress(high: high, low: low)
        case .none, .unix: first = address
        }
    }

    public func contains(_ address: IPAddress) -> Bool {
        address.family == first.family && address.high & highMask == first.high
            && address.low & lowMask == first.low
    }
}

extension AddressRange: CustomStringConvertible {
    public var description: String {
        let isWhole = length == (first.family == .ipv4 ? 32 : 128)
        return first.family == .unix || isWhole ? "\(first)" : "\(first)/\(length)"
    }
}
