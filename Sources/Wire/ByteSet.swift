/// A set of ASCII characters as two words of bits, so that membership is a shift and no load.
/// Bytes of 0x80 and above are in no set.
struct ByteSet {
    /// Bit n for character n, then for character 64 + n.
    let low: UInt64
    let high: UInt64

    @inline(__always)
    func contains(_ byte: UInt8) -> Bool {
        guard byte < 0x80 else { return false }
        let word = byte & 0x40 == 0 ? low : high
        return (word &>> UInt64(byte & 0x3f)) & 1 != 0
    }

    /// Which of eight bytes are none of `A-Z a-z 0-9 _`: the highest bit of each. No sum below
    /// carries into the next byte.
    @inline(__always)
    static func outsideName(_ word: UInt64) -> UInt64 {
        let highest = 0x8080_8080_8080_8080 as UInt64
        let bytes = word & ~highest
        let lowercase = bytes | 0x2020_2020_2020_2020
        // From `a` on, and not from `{` on; from `0` on, and not from `:` on.
        let letters =
            (lowercase &+ 0x1f1f_1f1f_1f1f_1f1f) & ~(lowercase &+ 0x0505_0505_0505_0505)
        let digits = (bytes &+ 0x5050_5050_5050_5050) & ~(bytes &+ 0x4646_4646_4646_4646)
        let underscores = highest &- (bytes ^ 0x5f5f_5f5f_5f5f_5f5f)
        return (~(letters | digits | underscores) | word) & highest
    }

    // Computed, not stored: a constant of the code that uses it, without a check for first use.

    /// `A-Z a-z _`.
    static var nameStart: Self { Self(low: 0, high: 0x07ff_fffe_87ff_fffe) }
    /// `A-Z a-z 0-9 _`.
    static var name: Self { Self(low: 0x03ff_0000_0000_0000, high: 0x07ff_fffe_87ff_fffe) }
    /// `A-Z a-z 0-9 _ .`.
    static var dottedName: Self { Self(low: 0x03ff_4000_0000_0000, high: 0x07ff_fffe_87ff_fffe) }
    /// `A-Z a-z 0-9 - . _ ~` (RFC 3986, 2.3).
    static var unreserved: Self { Self(low: 0x03ff_6000_0000_0000, high: 0x47ff_fffe_87ff_fffe) }
    /// `A-Z a-z`.
    static var letters: Self { Self(low: 0, high: 0x07ff_fffe_07ff_fffe) }
    /// `A-Z a-z 0-9 + - .` (RFC 3986, 3.1).
    static var scheme: Self { Self(low: 0x03ff_6800_0000_0000, high: 0x07ff_fffe_07ff_fffe) }
    /// What tokens are made of (RFC 9110, 5.6.2).
    static var token: Self { Self(low: 0x03ff_6cfa_0000_0000, high: 0x57ff_ffff_c7ff_fffe) }
    /// The same without capitals.
    static var fieldName: Self { Self(low: 0x03ff_6cfa_0000_0000, high: 0x57ff_ffff_c000_0000) }
    /// What a query may hold unexamined: 0x21 to 0x7e but `#` and `%`.
    static var plainQuery: Self { Self(low: 0xffff_ffd6_0000_0000, high: 0x7fff_ffff_ffff_ffff) }
    /// What a path may hold unexamined: the same but `. / ; ? \`.
    static var plainPath: Self { Self(low: 0x77ff_3fd6_0000_0000, high: 0x7fff_ffff_efff_ffff) }
}

/// One hexadecimal digit's value, or nil.
@inline(__always)
func hexadecimalDigit(_ byte: UInt8) -> UInt8? {
    let digit = byte &- UInt8(ascii: "0")
    if digit <= 9 { return digit }
    let letter = (byte | 0x20) &- UInt8(ascii: "a")
    return letter <= 5 ? letter + 10 : nil
}

extension UInt8 {
    /// This byte in lower case if it is one of `A-Z`, otherwise as it is.
    @inlinable public var lowercasedASCII: UInt8 {
        self &- 0x41 < 26 ? self | 0x20 : self
    }
}
