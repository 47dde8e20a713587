import Identity
import Testing

@Suite("PEM")
struct PEMTests {
    @Test("blocks are read between explanations, and written as they are read")
    func reads() throws {
        let blocks = [
            PEM.Block(label: "CERTIFICATE", bytes: Array(0...100)),
            PEM.Block(label: "PRIVATE KEY", bytes: [1]),
        ]
        let text = Array("an explanation\r\n".utf8) + PEM.text(blocks) + Array("\nmore".utf8)
        #expect(try PEM.blocks(in: text) == blocks)
        #expect(try PEM.blocks(in: []).isEmpty)
    }

    @Test(
        "what is broken is refused",
        arguments: [
            "-----BEGIN A-----\nAAAA\n", "-----BEGIN A-----\nAAAA\n-----END B-----\n",
            "-----BEGIN A-----\nAAA\n-----END A-----\n", "-----BEGIN A-----\n-----END A-----\n",
            "-----BEGIN A-----\nA*AA\n-----END A-----\n",
            "-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END A-----\n",
            "-----BEGIN A-----\n-----BEGIN A-----\nAAAA\n-----END A-----\n",
        ])
    func refuses(text: String) {
        #expect(throws: CertificateError.self) { try PEM.blocks(in: Array(text.utf8)) }
    }

    @Test("has bounds")
    func bounds() {
        let many = PEM.text(
            Array(repeating: PEM.Block(label: "A", bytes: [1]), count: PEM.blocksMax + 1))
        #expect(throws: CertificateError.self) { try PEM.blocks(in: many) }
        let long = [UInt8](repeating: 10, count: PEM.bytesMax + 1)
        #expect(throws: CertificateError.self) { try PEM.blocks(in: long) }
    }
}
