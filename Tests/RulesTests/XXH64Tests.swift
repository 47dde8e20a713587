import Rules
import Testing

@Suite("XXH64")
struct XXH64Tests {
    /// From the reference implementation.
    @Test(
        "hashes as the reference implementation does",
        arguments: [
            ("", 0, 0xef46_db37_51d8_e999), ("a", 0, 0xd24e_c4f1_a98c_6e5b),
            ("abc", 0, 0x44bc_2cf5_ad77_0999), ("", 1, 0xd5af_ba13_36a3_be4b),
            ("10.0.0.7:50051_17", 0, 0xbc99_0548_30a8_e259),
            ("spiffe://mesh.example/orders", 7, 0x4156_6a11_1730_d510),
            ("0123456789abcdef0123456789abcdef", 0, 0x642a_9495_8e71_e6c5),
            (String(repeating: "x", count: 100), .max, 0xbed6_2dc4_49c7_75e9),
            ("Nobody inspects the spammish repetition", 0, 0xfbce_a83c_8a37_8bf1),
        ] as [(String, UInt64, UInt64)])
    func vectors(text: String, seed: UInt64, expected: UInt64) {
        #expect(XXH64.hash(Array(text.utf8).span, seed: seed) == expected)
    }

    @Test("a number's hash is that of its eight bytes, the lowest first")
    func number() {
        let bytes: [UInt8] = [8, 7, 6, 5, 4, 3, 2, 1]
        #expect(XXH64.hash(0x0102_0304_0506_0708, seed: 9) == XXH64.hash(bytes.span, seed: 9))
    }
}
