internal import Wire

/// Gathers what a proxy in front says before the client's bytes (`ProxyHeader`), however it is cut
/// into reads. Performs no I/O.
///
///     undecided -> announced | refused
///
/// A peer's error: anything that is no header of the version that is asked for. Ignored: whatever
/// comes once that is decided.
struct ProxyAnnouncement {
    enum Verdict: Equatable {
        case undecided
        case refused(ProxyHeader.Fault)
        /// - used: of the bytes that came last, how many were still the header.
        case announced(source: SocketAddress?, used: Int)
    }

    private let version: ProxyHeader.Version
    /// At most `ProxyHeader.byteCountMax`.
    private var bytes: [UInt8] = []
    private var isRefused = false

    init(_ version: ProxyHeader.Version) { self.version = version }

    /// Something was said, and as far as it goes it is right.
    var hasBegun: Bool { !bytes.isEmpty && !isRefused }

    /// The connection's next bytes.
    mutating func received(_ more: Span<UInt8>) -> Verdict {
        let earlier = bytes.count
        for index in more.indices where bytes.count < ProxyHeader.byteCountMax {
            bytes.append(more[index])
        }
        do throws(ProxyHeader.Fault) {
            guard let header = try ProxyHeader.parse(bytes.span, version) else { return .undecided }
            return .announced(source: header.source, used: header.byteCount - earlier)
        } catch {
            isRefused = true
            return .refused(error)
        }
    }
}
