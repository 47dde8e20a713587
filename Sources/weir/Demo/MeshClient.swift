internal import Identity
internal import Peers

/// A member of the mesh that calls the proxy. Where it has a newer certificate, or was asked to go,
/// its next call is on a new connection. Belongs to one thread.
final class MeshClient {
    private let stage: Stage
    private let member: Mesh.Member
    private var certificate: [UInt8]?
    private var current: EchoCaller?
    /// How many it made.
    private(set) var connections = 0

    init(_ member: Mesh.Member, _ stage: Stage) {
        self.member = member
        self.stage = stage
    }

    /// A connection that takes calls; nil where there is none to be had.
    func caller() -> EchoCaller? {
        let terms = stage.mesh.terms(of: member)
        if let current, current.takesCalls, certificate == terms.certificate { return current }
        certificate = terms.certificate
        connections += 1
        current = stage.connect(terms)
        return current
    }

    /// A call with all of its requests; Bidi, which needs one, carries a token.
    func call(_ method: CallClient.Method, _ requests: [EchoRequest]) -> CallRecord {
        call(method, requests, metadata: stage.authorization(for: method))
    }

    func call(
        _ method: CallClient.Method, _ requests: [EchoRequest], metadata: [HeaderField]
    ) -> CallRecord {
        caller()?.call(method, requests, metadata: metadata) ?? .unconnected
    }

    func request(
        _ method: String, _ path: String, fields: [HeaderField] = [], body: [UInt8] = []
    ) -> CallRecord {
        caller()?.request(method, path, fields: fields, body: body) ?? .unconnected
    }
}

extension CallRecord {
    /// There was no connection to call on.
    static var unconnected: CallRecord {
        var record = CallRecord()
        record.end = .lost("no connection to the proxy")
        return record
    }

    /// True where nothing came back, not even a refusal in HTTP.
    var isUnanswered: Bool {
        guard case .lost = end else { return false }
        return headers.isEmpty
    }
}

extension EchoCaller {
    /// Who the server has proven to be.
    var server: Certificate? { serverCertificate.flatMap { try? Certificate(der: $0) } }
}

extension EchoServer {
    /// Who the newest client has proven to be.
    var client: Certificate? { clientCertificate.flatMap { try? Certificate(der: $0) } }
}
