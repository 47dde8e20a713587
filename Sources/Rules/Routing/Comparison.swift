internal import Wire

/// How a predicate compares, without what it compares with.
enum Comparison: UInt8 {
    case exact, prefix, suffix, contains, regex, present, absent

    /// Whether `value` is as `text` asks. Of `regex` it knows nothing and answers false.
    func holds(_ text: Span<UInt8>, _ value: Span<UInt8>) -> Bool {
        let surplus = value.count - text.count
        switch self {
        case .exact: return surplus == 0 && isEqual(text, value, from: 0)
        case .prefix: return surplus >= 0 && isEqual(text, value, from: 0)
        case .suffix: return surplus >= 0 && isEqual(text, value, from: surplus)
        case .contains: return surplus >= 0 && isWithin(text, value)
        case .present: return true
        case .regex, .absent: return false
        }
    }

    private func isWithin(_ text: Span<UInt8>, _ value: Span<UInt8>) -> Bool {
        for start in 0...(value.count - text.count) where isEqual(text, value, from: start) {
            return true
        }
        return false
    }
}

/// Whether `text` is in `whole` at `start`, where there is room for it.
@inline(__always)
func isEqual(_ text: Span<UInt8>, _ whole: Span<UInt8>, from start: Int) -> Bool {
    let count = text.count
    var index = 0
    while index &+ 8 <= count {
        if text.word(at: index) != whole.word(at: start &+ index) { return false }
        index &+= 8
    }
    if index == count { return true }
    if count >= 8 {
        // The last eight, some of them again.
        return text.word(at: count &- 8) == whole.word(at: start &+ count &- 8)
    }
    while index < count {
        if text[index] != whole[start &+ index] { return false }
        index &+= 1
    }
    return true
}
