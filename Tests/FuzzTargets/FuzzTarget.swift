/// Something that reads bytes from outside, and what must hold of it whatever they are.
///
/// The same code runs under libFuzzer (Tests/Fuzz) and over the kept inputs as ordinary tests.
public struct FuzzTarget: Sendable {
    public let name: String
    /// Takes milliseconds for an input, rather than microseconds.
    public var isSlow = false
    /// What is wrong, in words; nil where all is well. That it neither traps nor hangs goes without
    /// saying.
    public let fault: @Sendable ([UInt8]) -> String?

    public static let all = [
        FuzzTarget(name: "spiffe-id", fault: SPIFFEIDProperty.fault),
        FuzzTarget(name: "path", fault: PathProperty.fault),
        FuzzTarget(name: "token", fault: TokenProperty.fault),
        FuzzTarget(name: "json", fault: JSONProperty.fault),
        FuzzTarget(name: "key-set", fault: KeySetProperty.fault),
        FuzzTarget(name: "certificate", fault: CertificateProperty.fault),
        FuzzTarget(name: "pem", fault: PEMProperty.fault),
        FuzzTarget(name: "address", fault: AddressProperty.fault),
        FuzzTarget(name: "grpc-timeout", fault: GRPCTimeoutProperty.fault),
        FuzzTarget(name: "dns", fault: DNSProperty.fault),
        FuzzTarget(name: "proxy-header", fault: ProxyHeaderProperty.fault),
        FuzzTarget(name: "request-fields", fault: RequestFieldsProperty.fault),
        FuzzTarget(
            name: "client-certificate-field", fault: ClientCertificateFieldProperty.fault),
        FuzzTarget(name: "header-policy", isSlow: true, fault: HeaderPolicyProperty.fault),
        FuzzTarget(name: "configuration", isSlow: true, fault: ConfigurationProperty.fault),
        FuzzTarget(name: "connection", isSlow: true, fault: ConnectionProperty.fault),
    ]

    public static func named(_ name: String) -> FuzzTarget? { all.first { $0.name == name } }
}

extension [UInt8] {
    /// The first byte, which says what the rest is; 0 where there is none.
    func split() -> (mode: UInt8, rest: [UInt8]) { (first ?? 0, Array(dropFirst())) }
}
