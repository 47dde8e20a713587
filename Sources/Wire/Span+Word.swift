extension Span<UInt8> {
    /// Eight bytes from `start` on as one number, the first as the highest, so that its hexadecimal
    /// form reads like the text. Where `count` and `start` are known this is one load.
    @inline(__always)
    func word(at start: Int) -> UInt64 {
        precondition(start >= 0 && start &+ 8 <= count, "a word beyond the end")
        let first = UInt64(self[start]) << 56 | UInt64(self[start &+ 1]) << 48
        let second = UInt64(self[start &+ 2]) << 40 | UInt64(self[start &+ 3]) << 32
        let third = UInt64(self[start &+ 4]) << 24 | UInt64(self[start &+ 5]) << 16
        let fourth = UInt64(self[start &+ 6]) << 8 | UInt64(self[start &+ 7])
        return first | second | third | fourth
    }

    /// All of at most eight bytes as one number, the last as the lowest.
    @inline(__always)
    func shortWord() -> UInt64 {
        var word: UInt64 = 0
        for index in indices { word = word << 8 | UInt64(self[index]) }
        return word
    }
}
