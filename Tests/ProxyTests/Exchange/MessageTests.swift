import Testing

@testable import Proxy

@Suite struct MessageTests {
    private static let windows = HTTP2Session.Windows(stream: 400, streamMax: 1_600, connection: 0)

    @Test("bytes wait since the first that found the queue empty")
    func times() {
        let pool = SegmentPool()
        var message = Message()
        message.received([1, 2], pool, now: 5)
        message.received([3], pool, now: 9)
        let (waitingSince, receivedAt) = (message.waitingSince, message.receivedAt)
        #expect(waitingSince == 5)
        #expect(receivedAt == 9)
        _ = message.bytesPassed(3, Self.windows)
        message.received([4], pool, now: 12)
        let (later, received) = (message.waitingSince, message.receivedBytes)
        #expect(later == 12)
        #expect(received == 4)
        message.reset(returning: pool)
        #expect(pool.used == 0)
    }

    @Test("what comes after a discard is counted and dropped")
    func discarded() {
        let pool = SegmentPool()
        var message = Message()
        message.received([1, 2], pool, now: 5)
        message.discard(returning: pool)
        message.received([3], pool, now: 6)
        let (queued, received) = (message.body.count, message.receivedBytes)
        #expect(queued == 0)
        #expect(received == 3)
        #expect(pool.used == 0)
    }

    @Test("a source that has ended is credited no more")
    func ended() {
        var message = Message()
        message.flow.headersReceived()
        let credit = message.bytesPassed(150, Self.windows)
        #expect(credit == StreamCredit(byteCount: 150, window: 0))
        message.flow.endReceived()
        let none = message.bytesPassed(150, Self.windows)
        #expect(none == nil)
    }
}
