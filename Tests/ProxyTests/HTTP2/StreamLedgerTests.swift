import Testing

@testable import Proxy

@Suite("A client's streams")
struct StreamLedgerTests {
    private var ledger = StreamLedger()

    private mutating func frame(
        _ type: UInt8, _ id: Int32, flags: UInt8 = 0, length: Int = 5
    ) -> HTTP2Code? {
        ledger.received(.init(length: length, type: type, flags: flags, streamID: id))
    }

    private mutating func headers(_ id: Int32, isEnd: Bool = true) -> HTTP2Code? {
        frame(1, id, flags: isEnd ? 5 : 4)
    }

    private mutating func data(_ id: Int32, isEnd: Bool = false) -> HTTP2Code? {
        frame(0, id, flags: isEnd ? 1 : 0)
    }

    @Test("that were passed over are not to be opened any more")
    mutating func passedOver() {
        #expect(headers(5) == nil)
        #expect(headers(3) == .protocolError)
        #expect(headers(1) == .protocolError)
        #expect(data(1) == .streamClosed)
        #expect(data(7) == nil)
        #expect(ledger.lastID == 5)
    }

    @Test("that the client has ended stay ended")
    mutating func ended() {
        #expect(headers(1) == nil)
        #expect(headers(3, isEnd: false) == nil)
        #expect(headers(1) == .streamClosed)
        #expect(data(1) == .streamClosed)
        #expect(headers(3) == nil)
        #expect(data(3) == .streamClosed)
    }

    @Test("that the client has reset stay closed")
    mutating func reset() {
        #expect(headers(1, isEnd: false) == nil)
        #expect(frame(3, 1) == nil)
        #expect(data(1) == .streamClosed)
        #expect(headers(1) == .streamClosed)
        #expect(frame(3, 1) == nil)
    }

    @Test("are remembered for the last 64, older ones are believed")
    mutating func window() {
        for id in stride(from: Int32(1), to: 129, by: 2) { #expect(headers(id) == nil) }
        #expect(data(1) == .streamClosed)
        #expect(headers(129) == nil)
        #expect(data(1) == nil)
        #expect(data(3) == .streamClosed)
        #expect(headers(Int32.max, isEnd: false) == nil)
        #expect(data(129) == nil)
        #expect(data(Int32.max) == nil)
        #expect(headers(Int32.max - 2) == .protocolError)
    }

    @Test("of no use are left to nghttp2", arguments: [0, 2, 4] as [Int32])
    mutating func others(_ id: Int32) {
        #expect(headers(5, isEnd: false) == nil)
        #expect(data(id) == nil)
        #expect(headers(id) == nil)
        #expect(frame(3, id) == nil)
        #expect(frame(8, 1) == nil)
        #expect(ledger.lastID == 5)
    }

    @Test("frames that say they are padded say by how much")
    mutating func padded() {
        #expect(headers(1, isEnd: false) == nil)
        #expect(frame(0, 1, flags: 8, length: 0) == .frameSizeError)
        #expect(frame(1, 3, flags: 12, length: 0) == .frameSizeError)
        #expect(frame(0, 1, flags: 8, length: 1) == nil)
    }
}
