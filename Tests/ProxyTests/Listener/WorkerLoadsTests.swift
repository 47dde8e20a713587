import Testing

@testable import Proxy

@Suite struct WorkerLoadsTests {
    @Test("a connection goes to the worker with the fewest, to the one that accepted among equals")
    func fewest() {
        let loads = WorkerLoads(workers: 3)
        #expect((0..<6).map { _ in loads.leastLoaded(preferring: 1) } == [1, 0, 2, 1, 0, 2])
        loads.ended(2)
        #expect(loads.leastLoaded(preferring: 0) == 2)
        #expect(loads.take(1) == 1)
        loads.ended(0)
        #expect(loads.leastLoaded(preferring: 1) == 0)
    }

    @Test("there is always one worker", arguments: [-1, 0, 1])
    func one(workers: Int) {
        #expect(WorkerLoads(workers: workers).leastLoaded(preferring: 0) == 0)
    }

    @Test("a message reaches the worker that joined, nobody before one has or after it ended")
    func post() {
        let loads = WorkerLoads(workers: 2)
        let mailbox = Mailbox(waker: .silent)
        #expect(!loads.post(.stop, to: 1))
        loads.join(mailbox, at: 1)
        #expect(mailbox.isEmpty)
        #expect(!loads.post(.stop, to: 0))
        #expect(mailbox.isEmpty)
        #expect(loads.post(.stop, to: 1))
        #expect(mailbox.take().count == 1)
        _ = mailbox.close()
        #expect(!loads.post(.stop, to: 1))
    }
}
