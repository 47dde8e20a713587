/// A name from a configuration in a fixed number of words, where it lies itself: copying it into a
/// record needs no look at its length, no reference and no call.
public struct ShortName: BitwiseCopyable, Sendable {
    public static var bytesMax: Int { 40 }

    /// The bytes in their order, in words of the machine (bytes would be copied one by one).
    public struct Words: BitwiseCopyable, Sendable {
        var words: (UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0)
    }

    public private(set) var words = Words()
    /// Bytes of the name; -1 where it has more than `bytesMax`, and is not here.
    public private(set) var count = -1

    public init(_ name: String) {
        guard name.utf8.count <= Self.bytesMax else { return }
        count = name.utf8.count
        var all = [UInt64](repeating: 0, count: 5)
        for (index, byte) in name.utf8.enumerated() {
            all[index / 8] |= UInt64(littleEndian: UInt64(byte) << UInt64(index % 8 * 8))
        }
        words.words = (all[0], all[1], all[2], all[3], all[4])
    }
}
