import Testing

@testable import Proxy

@Suite struct MailboxTests {
    @Test("messages are taken once, in the order they were posted")
    func order() {
        let mailbox = Mailbox(waker: .silent)
        #expect(mailbox.isEmpty)
        #expect(mailbox.take().isEmpty)
        for number in 0..<3 { mailbox.post(.drain(spread: 0, limit: Int64(number))) }
        #expect(!mailbox.isEmpty)
        #expect(mailbox.take().compactMap(\.number) == [0, 1, 2])
        #expect(mailbox.isEmpty)
        #expect(mailbox.take().isEmpty)
    }

    @Test("one that is closed gives what is left and takes nothing more")
    func closed() {
        let mailbox = Mailbox(waker: .silent)
        #expect(mailbox.post(.drain(spread: 0, limit: 1)))
        #expect(mailbox.close().compactMap(\.number) == [1])
        #expect(!mailbox.post(.drain(spread: 0, limit: 2)))
        #expect(mailbox.take().isEmpty)
        #expect(mailbox.close().isEmpty)
    }

    @Test("none is lost or doubled where several threads post while one takes")
    func concurrently() async {
        let mailbox = Mailbox(waker: .silent)
        let posters = 4
        let each = 2_000
        let taken = await withTaskGroup(of: [Int64].self) { group in
            for poster in 0..<posters {
                group.addTask {
                    for number in 0..<each {
                        mailbox.post(.drain(spread: 0, limit: Int64(poster * each + number)))
                    }
                    return []
                }
            }
            group.addTask {
                var taken: [Int64] = []
                while taken.count < posters * each {
                    taken += mailbox.take().compactMap(\.number)
                    await Task.yield()
                }
                return taken
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
        #expect(taken.count == posters * each)
        for poster in 0..<posters {
            let own = taken.filter { Int($0) / each == poster }
            #expect(own == (0..<each).map { Int64(poster * each + $0) })
        }
        #expect(mailbox.isEmpty)
    }

    @Test("a post ends the wait of the worker's system")
    func rings() throws {
        let system = try #require(LinuxSystem())
        let mailbox = Mailbox(waker: system.waker)
        let start = system.now()
        mailbox.post(.stop)
        _ = system.wait(until: start + 60_000_000_000)
        #expect(system.now() < start + 30_000_000_000)
        #expect(mailbox.take().count == 1)
    }
}

extension Mailbox.Message {
    /// What the tests number their messages by.
    fileprivate var number: Int64? { if case .drain(_, let limit) = self { limit } else { nil } }
}
