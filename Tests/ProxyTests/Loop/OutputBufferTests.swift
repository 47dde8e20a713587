import Testing

@testable import Proxy

@Suite struct OutputBufferTests {
    /// One call of nghttp2 may send DATA and then hand out a frame that cannot be put back: the
    /// buffer trapped when the DATA had left no room for it.
    @Test(
        "DATA is taken only where any frame fits behind it",
        arguments: [0, 1, 12, 13, 16_384, 65_535, 65_536])
    func roomBehindData(filled: Int) {
        let output = OutputBuffer(capacity: Workspace.outputBytes + 2 * OutputBuffer.frameBytesMax)
        fill(output, filled)
        while output.takesData(16_384) { fill(output, 16_384 + 9) }
        #expect(output.takesFrame)
        fill(output, OutputBuffer.frameBytesMax)
        #expect(output.room >= 0)
    }

    @Test("an empty buffer takes the largest DATA frame and one more")
    func empty() {
        let output = OutputBuffer(capacity: Workspace.outputBytes + 2 * OutputBuffer.frameBytesMax)
        #expect(output.takesFrame)
        #expect(output.takesData(16_384))
    }

    private func fill(_ output: OutputBuffer, _ byteCount: Int) {
        let bytes = [UInt8](repeating: 0, count: byteCount)
        unsafe bytes.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return }
            unsafe output.append(start, byteCount)
        }
    }
}
