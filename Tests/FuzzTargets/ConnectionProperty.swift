import TestKit

/// Whole connections: `RawStory`.
enum ConnectionProperty {
    static func fault(_ bytes: [UInt8]) -> String? { RawStory.fault(bytes) }
}
