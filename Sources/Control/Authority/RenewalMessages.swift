internal import Peers

/// The messages of protos/ca.proto, as protobuf writes them.
public struct RenewRequest: Equatable, Sendable {
    public static let path = "/weir.ca.v1.Authority/Renew"

    public var certificate: [UInt8] = []
    public var request: [UInt8] = []
    public var proof: [UInt8] = []

    public init(certificate: [UInt8], request: [UInt8], proof: [UInt8]) {
        self.certificate = certificate
        self.request = request
        self.proof = proof
    }

    /// nil where the bytes are no protobuf message.
    public init?(_ bytes: [UInt8]) {
        guard let fields = ProtobufField.decode(bytes) else { return nil }
        for field in fields {
            guard case .bytes(let value) = field.content else { continue }
            switch field.number {
            case 1: certificate = value
            case 2: request = value
            case 3: proof = value
            default: break
            }
        }
    }

    public var encoded: [UInt8] {
        ProtobufField.encode(1, certificate) + ProtobufField.encode(2, request)
            + ProtobufField.encode(3, proof)
    }
}

public struct RenewResponse: Equatable, Sendable {
    public var chain: [[UInt8]] = []
    public var bundle: [UInt8] = []
    public var revocationLists: [UInt8] = []

    public init(chain: [[UInt8]], bundle: [UInt8], revocationLists: [UInt8]) {
        self.chain = chain
        self.bundle = bundle
        self.revocationLists = revocationLists
    }

    /// nil where the bytes are no protobuf message.
    public init?(_ bytes: [UInt8]) {
        guard let fields = ProtobufField.decode(bytes) else { return nil }
        for field in fields {
            guard case .bytes(let value) = field.content else { continue }
            switch field.number {
            case 1: chain.append(value)
            case 2: bundle = value
            case 3: revocationLists = value
            default: break
            }
        }
    }

    public var encoded: [UInt8] {
        chain.flatMap { ProtobufField.encode(1, $0) } + ProtobufField.encode(2, bundle)
            + ProtobufField.encode(3, revocationLists)
    }
}
