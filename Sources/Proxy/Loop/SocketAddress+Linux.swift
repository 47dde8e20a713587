public import CLinux
internal import Glibc
public import Wire

extension SocketAddress {
    var isUnix: Bool {
        if case .unix = self { return true }
        return false
    }

    /// AF_INET, AF_INET6 or AF_UNIX.
    public var family: Int32 {
        switch self {
        case .ipv4: AF_INET
        case .ipv6: AF_INET6
        case .unix: AF_UNIX
        }
    }

    /// Longest path of a unix socket, its final NUL not counted.
    static let unixPathBytesMax = 107

    /// Calls `body` with the address in the kernel's form.
    public func withSockAddr<Result>(
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        var storage = sockaddr_storage()
        let length = fill(&storage)
        return unsafe withUnsafePointer(to: &storage) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, length)
            }
        }
    }

    private func fill(_ storage: inout sockaddr_storage) -> socklen_t {
        unsafe withUnsafeMutableBytes(of: &storage) { bytes in
            switch self {
            case .ipv4(let address, let port):
                var form = sockaddr_in()
                form.sin_family = sa_family_t(AF_INET)
                form.sin_port = port.bigEndian
                form.sin_addr.s_addr = address.bigEndian
                unsafe bytes.storeBytes(of: form, as: sockaddr_in.self)
                return socklen_t(MemoryLayout<sockaddr_in>.size)
            case .ipv6(let high, let low, let port):
                var form = sockaddr_in6()
                form.sin6_family = sa_family_t(AF_INET6)
                form.sin6_port = port.bigEndian
                unsafe withUnsafeMutableBytes(of: &form.sin6_addr) {
                    unsafe $0.storeBytes(of: high.bigEndian, as: UInt64.self)
                    unsafe $0.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
                }
                unsafe bytes.storeBytes(of: form, as: sockaddr_in6.self)
                return socklen_t(MemoryLayout<sockaddr_in6>.size)
            case .unix(let path):
                return unsafe Self.fillUnix(bytes, path)
            }
        }
    }

    private static func fillUnix(
        _ bytes: UnsafeMutableRawBufferPointer, _ path: String
    ) -> socklen_t {
        unsafe bytes.storeBytes(of: sa_family_t(AF_UNIX), as: sa_family_t.self)
        var offset = MemoryLayout<sa_family_t>.size
        for byte in path.utf8.prefix(unixPathBytesMax) {
            unsafe bytes[offset] = byte
            offset += 1
        }
        // An abstract name starts with NUL and its length says where it ends.
        guard path.utf8.first == UInt8(ascii: "@") else { return socklen_t(offset + 1) }
        unsafe bytes[MemoryLayout<sa_family_t>.size] = 0
        return socklen_t(offset)
    }

    /// What the kernel says of a socket that is listened on; nil for other families than these.
    public init?(listening storage: sockaddr_storage, length: Int) {
        switch Int32(storage.ss_family) {
        case AF_INET, AF_INET6: self.init(storage)
        case AF_UNIX:
            var storage = storage
            let start = MemoryLayout<sa_family_t>.size
            let name = unsafe withUnsafeBytes(of: &storage) { bytes in
                unsafe Array(bytes[start..<max(start, min(length, bytes.count))])
            }
            let isAbstract = name.first == 0
            let path = isAbstract ? name.dropFirst() : name.prefix { $0 != 0 }
            self = .unix(path: (isAbstract ? "@" : "") + String(decoding: path, as: UTF8.self))
        default: return nil
        }
    }

    /// What the kernel says; unix peers have no name worth having.
    init(_ storage: sockaddr_storage) {
        var storage = storage
        let family = Int32(storage.ss_family)
        self = unsafe withUnsafeBytes(of: &storage) { bytes in
            switch family {
            case AF_INET:
                let form = unsafe bytes.load(as: sockaddr_in.self)
                return .ipv4(
                    address: UInt32(bigEndian: form.sin_addr.s_addr),
                    port: UInt16(bigEndian: form.sin_port))
            case AF_INET6:
                let form = unsafe bytes.load(as: sockaddr_in6.self)
                let high = unsafe bytes.load(fromByteOffset: 8, as: UInt64.self)
                let low = unsafe bytes.load(fromByteOffset: 16, as: UInt64.self)
                return SocketAddress(
                    high: UInt64(bigEndian: high), low: UInt64(bigEndian: low),
                    port: UInt16(bigEndian: form.sin6_port))
            default: return .unix(path: "")
            }
        }
    }
}
