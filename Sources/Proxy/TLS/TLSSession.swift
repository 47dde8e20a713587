internal import COpenSSL
internal import Glibc
internal import Identity

/// One connection's TLS: opens what was read, seals what is to be written, and judges the peer.
///
///     handshaking -> established
///          |             |
///          +-------------+-> failed, or ended by the peer's close_notify
///
/// OpenSSL reads from bytes lent for the length of a call and writes into the worker's buffer of
/// sealed bytes, which the connection sends before anybody else uses it. No record is kept here:
/// what is incomplete waits inside OpenSSL.
@safe
final class TLSSession {
    enum Step: Equatable {
        case established
        /// More of the peer is needed.
        case waits
        case failed(TLSFailure)
    }

    enum Opened: Equatable {
        /// 0 where no whole record is left. The buffer may hold as much as it has room.
        case bytes(Int)
        /// The peer will send nothing any more (close_notify).
        case ended
        case failed(TLSFailure)
    }

    private let ssl: OpaquePointer
    private let sealed: Borrowed<OutputBuffer>
    private let system: Borrowed<System>
    private let expectation: PeerExpectation
    let server: ServerTLS?
    private var inbound = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    private(set) var isEstablished = false
    /// Who the peer has proven to be; nil for a client that showed nothing.
    private(set) var peer: PeerIdentity?
    /// The chain that `peer` was proven with, in DER, the leaf first.
    private(set) var chain: [[UInt8]] = []
    private var failure: TLSFailure?
    /// What the server gave to resume with, until somebody takes it.
    private var resumption: TLSResumption?
    private(set) var isResumed = false

    /// Takes `ssl` over.
    @unsafe
    init?(
        _ ssl: OpaquePointer, _ workspace: Workspace, _ expectation: PeerExpectation,
        server: ServerTLS?
    ) {
        unsafe self.ssl = ssl
        sealed = Borrowed(workspace.sealed)
        system = Borrowed(workspace.system)
        self.expectation = expectation
        self.server = server
        guard let method = unsafe bioMethod, let bio = unsafe BIO_new(method) else { return nil }
        let pointer = unsafe Borrowed(self).pointer
        unsafe BIO_set_data(bio, pointer)
        unsafe BIO_set_init(bio, 1)
        unsafe SSL_set_bio(ssl, bio, bio)
        unsafe _ = SSL_set_ex_data(ssl, 0, pointer)
    }

    deinit { unsafe SSL_free(ssl) }

    // MARK: Verbs

    /// Lends what was read; `handshake` and `open` take from it.
    func lend(_ buffer: ReadBuffer, _ count: Int) { unsafe inbound = buffer.bytes(count) }

    /// Goes on with the handshake as far as the bytes lent allow.
    func handshake() -> Step {
        if isEstablished { return .established }
        ERR_clear_error()
        let result = unsafe SSL_do_handshake(ssl)
        if result == 1 { return finished() }
        switch unsafe SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .waits
        default: return .failed(lastFailure())
        }
    }

    private func finished() -> Step {
        if server == nil, !agreedOnHTTP2 { return .failed(.noHTTP2) }
        // A resumed session's chain was verified when it was new: again, by today.
        isResumed = unsafe SSL_session_reused(ssl) == 1
        if server == nil, isResumed {
            let stack = unsafe SSL_get_peer_cert_chain(ssl)
            let count = unsafe weir_certificate_count(stack)
            let chain = (0..<count).compactMap { index in
                unsafe weir_certificate_at(stack, index).map { unsafe derBytes($0) }
            }
            guard judge(chain) == X509_V_OK else { return .failed(lastFailure()) }
        }
        isEstablished = true
        return .established
    }

    private var agreedOnHTTP2: Bool {
        var chosen: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        unsafe SSL_get0_alpn_selected(ssl, &chosen, &count)
        guard let chosen = unsafe chosen, count == 2 else { return false }
        return unsafe chosen[0] == 0x68 && chosen[1] == 0x32
    }

    /// Decrypts as much as fits of what was lent. Call until it gives less than the buffer holds.
    func open(into plain: ReadBuffer) -> Opened {
        unsafe plain.fill { buffer in
            var count = 0
            while count < buffer.count, let start = buffer.baseAddress {
                ERR_clear_error()
                let room = Int32(clamping: buffer.count - count)
                let read = unsafe SSL_read(ssl, start + count, room)
                if read > 0 {
                    count += Int(read)
                    continue
                }
                if count > 0 { break }
                switch unsafe SSL_get_error(ssl, read) {
                case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .bytes(0)
                case SSL_ERROR_ZERO_RETURN: return .ended
                default: return .failed(lastFailure())
                }
            }
            return .bytes(count)
        }
    }

    /// Encrypts into the worker's buffer, which has room for all of a full output buffer.
    func seal(_ output: OutputBuffer) -> Bool {
        ERR_clear_error()
        return unsafe output.withBytes { bytes in
            unsafe SSL_write(ssl, bytes.baseAddress, Int32(clamping: bytes.count))
                == Int32(clamping: bytes.count)
        }
    }

    /// Says that nothing more will be sent (close_notify; RFC 8446, 6.1).
    func sealEnd() {
        guard isEstablished else { return }
        ERR_clear_error()
        unsafe _ = SSL_shutdown(ssl)
    }

    // MARK: Resuming

    func keep(_ resumption: TLSResumption) { self.resumption = resumption }

    func takeResumption() -> TLSResumption? { resumption.take() }

    // MARK: Judging the peer

    /// An X509_V code for OpenSSL, which chooses the alert by it. Called by its callbacks.
    func judge(_ chain: [[UInt8]]) -> CInt {
        switch expectation.judge(chain, at: system.use { $0.unixTime() }) {
        case .success(let peer):
            self.peer = peer
            self.chain = chain
            return X509_V_OK
        case .failure(let failure):
            self.failure = failure
            return failure.verificationCode
        }
    }

    /// Why the handshake is about to fail, where OpenSSL's own words would be less clear.
    func note(_ reason: TLSFailure) { failure = reason }

    private func lastFailure() -> TLSFailure {
        if let failure { return failure }
        let code = ERR_peek_last_error()
        guard code != 0, let text = unsafe ERR_reason_error_string(code) else {
            return .openSSL("the peer ended the connection")
        }
        return .openSSL(unsafe String(cString: text))
    }

    // MARK: What OpenSSL reads and writes (called by the BIO)

    fileprivate func read(into buffer: UnsafeMutableRawPointer, _ limit: Int) -> Int {
        let count = min(limit, unsafe inbound.count)
        guard count > 0, let start = unsafe inbound.baseAddress else { return 0 }
        unsafe buffer.copyMemory(from: start, byteCount: count)
        unsafe inbound = UnsafeRawBufferPointer(rebasing: inbound[count...])
        return count
    }

    fileprivate func write(_ bytes: UnsafeRawPointer, _ count: Int) -> Bool {
        sealed.use { sealed in
            guard sealed.room >= count else { return false }
            unsafe sealed.append(bytes, count)
            return true
        }
    }
}

/// Why a connection's TLS failed.
enum TLSFailure: Error, Equatable, CustomStringConvertible {
    case noALPN, noHTTP2
    case peer(PeerRefusal)
    /// It has proven to be somebody else than was expected.
    case otherPeer(String)
    /// In OpenSSL's words.
    case openSSL(String)

    var description: String {
        switch self {
        case .noALPN: "no ALPN was offered, and h2 is required"
        case .noHTTP2: "h2 was not agreed on by ALPN"
        case .peer(let refusal): "\(refusal)"
        case .otherPeer(let words): "the peer is another one: \(words)"
        case .openSSL(let words): words
        }
    }
}

extension TLSFailure {
    /// OpenSSL chooses the alert that the peer is sent by this (RFC 8446, 6.2).
    fileprivate var verificationCode: CInt {
        switch self {
        case .peer(.expired): X509_V_ERR_CERT_HAS_EXPIRED
        case .peer(.notYetValid): X509_V_ERR_CERT_NOT_YET_VALID
        case .peer(.revoked): X509_V_ERR_CERT_REVOKED
        case .peer(.untrusted), .peer(.unknownTrustDomain):
            X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
        default: X509_V_ERR_CERT_REJECTED
        }
    }
}

/// The BIO of all sessions; made once, and never written to after that.
private nonisolated(unsafe) let bioMethod: OpaquePointer? = {
    guard let method = unsafe BIO_meth_new(BIO_TYPE_SOURCE_SINK, "weir") else { return nil }
    unsafe BIO_meth_set_write(method, bioWrite)
    unsafe BIO_meth_set_read(method, bioRead)
    unsafe BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
    return unsafe method
}()

private let bioRead: @convention(c) (OpaquePointer?, UnsafeMutablePointer<CChar>?, CInt) -> CInt = {
    bio, buffer, limit in
    guard let session = unsafe BIO_get_data(bio), let buffer = unsafe buffer else { return -1 }
    unsafe weir_BIO_clear_retry_flags(bio)
    let count = unsafe Borrowed<TLSSession>(session).use {
        unsafe $0.read(into: buffer, Int(limit))
    }
    if count > 0 { return CInt(count) }
    unsafe weir_BIO_set_retry_read(bio)
    return -1
}

private let bioWrite: @convention(c) (OpaquePointer?, UnsafePointer<CChar>?, CInt) -> CInt = {
    bio, bytes, count in
    guard let session = unsafe BIO_get_data(bio), let bytes = unsafe bytes else { return -1 }
    unsafe weir_BIO_clear_retry_flags(bio)
    let isTaken = unsafe Borrowed<TLSSession>(session).use { unsafe $0.write(bytes, Int(count)) }
    if isTaken { return count }
    unsafe weir_BIO_set_retry_write(bio)
    return -1
}
