import TestKit

/// Whole connections: `RawExchange`.
enum ConnectionProperty {
    static func fault(_ bytes: [UInt8]) -> String? { RawExchange.fault(bytes) }
}
