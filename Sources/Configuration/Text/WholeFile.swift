public import Wire

/// Files besides the configuration that the command line is given.
public enum WholeFile {
    public struct Failure: Error {
        public let words: String
    }

    /// The methods that a set of protobuf descriptors declares.
    public static func descriptors(_ path: String) throws(Failure) -> DescriptorSet {
        let bytes = try read(path, limit: DescriptorSet.bytesMax)
        do {
            return try DescriptorSet(parsing: bytes.span)
        } catch {
            switch error {
            case .tooLarge:
                throw Failure(words: "more than \(DescriptorSet.bytesMax >> 20) MiB")
            case .tooManyMethods:
                throw Failure(words: "more than \(DescriptorSet.methodsMax) methods")
            case .malformed: throw Failure(words: "not a set of protobuf descriptors")
            }
        }
    }

    private static func read(_ path: String, limit: Int) throws(Failure) -> [UInt8] {
        switch FileReader.read(path, limit: limit) {
        case .success(let bytes): return bytes
        case .failure(let error): throw Failure(words: error.message)
        }
    }
}
