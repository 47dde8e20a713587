import Control
import Testing

@Suite struct ProcessorsTests {
    @Test("there is always a processor")
    func available() { #expect(Processors.available >= 1) }
}
