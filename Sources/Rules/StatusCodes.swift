public import Wire

/// Some of gRPC's status codes.
public struct StatusCodes: Sendable, Equatable {
    /// A bit for each.
    private var bits: UInt32 = 0

    public init(_ codes: [GRPCStatus] = []) { for code in codes { insert(code) } }

    public mutating func insert(_ code: GRPCStatus) { bits |= 1 << UInt32(code.rawValue) }

    /// A code that gRPC does not name is taken for UNKNOWN, as clients take it.
    public func contains(_ code: UInt32) -> Bool {
        let known = code <= UInt32(GRPCStatus.unauthenticated.rawValue)
        return bits & 1 << (known ? code : UInt32(GRPCStatus.unknown.rawValue)) != 0
    }

    public func contains(_ code: GRPCStatus) -> Bool { contains(UInt32(code.rawValue)) }

    /// By their numbers.
    public var list: [GRPCStatus] { GRPCStatus.allCases.filter(contains) }
}
