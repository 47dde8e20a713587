public import Wire

/// One address of an upstream, and how much of the traffic it is to get.
public struct EndpointTerms: Equatable, Sendable {
    /// Of weights; a ratio of more would starve the lightest endpoint.
    public static let weightMax: UInt32 = 1_000

    public var address: SocketAddress
    /// Its share among the weights of all; from 1.
    public var weight: UInt32
    /// Where it is; nil is not said.
    public var zone: String?

    public init(_ address: SocketAddress, weight: UInt32 = 1, zone: String? = nil) {
        self.address = address
        self.weight = weight
        self.zone = zone
    }
}

extension EndpointTerms: CustomStringConvertible {
    /// `10.0.0.7:50051 (weight 2, zone a)`; of the defaults nothing is said.
    public var description: String {
        var words: [String] = []
        if weight != 1 { words.append("weight \(weight)") }
        if let zone { words.append("zone \(zone)") }
        return words.isEmpty ? "\(address)" : "\(address) (\(words.joined(separator: ", ")))"
    }
}
