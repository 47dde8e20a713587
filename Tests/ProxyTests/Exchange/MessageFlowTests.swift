import TestKit
import Testing

@testable import Proxy

@Suite struct MessageFlowTests {
    enum Step: Sendable {
        case headers, end, trailers, discard
        case advance(Int, MessageFlow.Action)
        case portion(Int, limit: Int, MessageFlow.Portion)
    }

    @Test(
        "events lead to actions",
        arguments: [
            ("nothing came", [.advance(0, .none), .end, .trailers, .advance(0, .none)]),
            (
                "headers alone",
                [.headers, .end, .advance(0, .submitHeadersOnly), .advance(0, .none)]
            ),
            (
                "headers, then the end later",
                [
                    .headers, .advance(0, .submitHeaders), .portion(0, limit: 9, .wait),
                    .advance(0, .none), .end, .advance(0, .resume), .portion(0, limit: 9, .last(0)),
                ]
            ),
            (
                "all of it in one read",
                [
                    .headers, .end, .advance(5, .submitHeaders), .portion(5, limit: 9, .last(5)),
                    .advance(0, .none),
                ]
            ),
            (
                "more than the sink takes at once",
                [
                    .headers, .end, .advance(20, .submitHeaders), .portion(20, limit: 9, .more(9)),
                    .portion(11, limit: 9, .more(9)), .portion(2, limit: 9, .last(2)),
                ]
            ),
            (
                "exactly what the sink takes is the last of it",
                [.headers, .end, .advance(9, .submitHeaders), .portion(9, limit: 9, .last(9))]
            ),
            (
                "bytes come while it waits",
                [
                    .headers, .advance(3, .submitHeaders), .portion(3, limit: 9, .more(3)),
                    .portion(0, limit: 9, .wait), .advance(4, .resume), .advance(4, .none),
                    .portion(4, limit: 9, .more(4)), .portion(0, limit: 9, .wait),
                ]
            ),
            (
                "trailers follow the bytes",
                [
                    .headers, .advance(3, .submitHeaders), .trailers,
                    .portion(3, limit: 2, .more(2)), .portion(1, limit: 2, .lastBeforeTrailers(1)),
                ]
            ),
            (
                "trailers without bytes still need a body's end",
                [
                    .headers, .trailers, .advance(0, .submitHeaders),
                    .portion(0, limit: 9, .lastBeforeTrailers(0)),
                ]
            ),
            ("discarded, nothing opens", [.headers, .discard, .end, .advance(4, .none)]),
            (
                "discarded, nothing resumes",
                [
                    .headers, .advance(0, .submitHeaders), .portion(0, limit: 9, .wait), .discard,
                    .advance(4, .none), .end, .advance(0, .none),
                ]
            ),
        ] as [(String, [Step])])
    func script(name: String, steps: [Step]) {
        var flow = MessageFlow()
        for (index, step) in steps.enumerated() {
            switch step {
            case .headers: flow.headersReceived()
            case .end: flow.endReceived()
            case .trailers: flow.trailersReceived()
            case .discard: flow.discard()
            case .advance(let available, let action):
                let given = flow.advance(available: available)
                #expect(given == action, "step \(index)")
            case .portion(let available, let limit, let portion):
                let given = flow.portion(available: available, limit: limit)
                #expect(given == portion, "step \(index)")
            }
        }
    }

    @Test("another sink gets all of it again, and neither knows of the other")
    func severalSinks() {
        var flow = MessageFlow()
        var (first, second, third) = (MessageSink(), MessageSink(), MessageSink())
        flow.headersReceived()
        let opened = first.advance(flow, available: 0)
        let waits = first.portion(flow, available: 0, limit: 9)
        #expect(opened == .submitHeaders && waits == .wait)
        flow.endReceived()
        let again = second.advance(flow, available: 4)
        let last = second.portion(flow, available: 4, limit: 9)
        #expect(again == .submitHeaders && last == .last(4))
        #expect(second.isFinished && !first.isFinished)
        let resumed = first.advance(flow, available: 4)
        let alone = third.advance(flow, available: 0)
        #expect(resumed == .resume && alone == .submitHeadersOnly)
    }

    @Test("it is told once until it was looked at")
    func notes() {
        var flow = MessageFlow()
        #expect((0..<3).map { _ in flow.note() } == [true, false, false])
        flow.processed()
        #expect((0..<2).map { _ in flow.note() } == [true, false])
    }

    @Test("what it says of itself follows from what came")
    func flags() {
        var flow = MessageFlow()
        #expect(!flow.hasHeaders && !flow.hasStarted && !flow.isEnded && !flow.isFinished)
        flow.headersReceived()
        #expect(flow.hasHeaders && !flow.hasStarted)
        _ = flow.advance(available: 1)
        #expect(flow.hasStarted && !flow.isEnded)
        flow.trailersReceived()
        // A second end says nothing new.
        flow.endReceived()
        #expect(flow.isEnded && !flow.isFinished)
        #expect(flow.portion(available: 1, limit: 1) == .lastBeforeTrailers(1))
        #expect(flow.isFinished)
    }

    @Test(
        "every byte is passed on once, then the end, however source and sink take turns",
        arguments: Seeds.chosen(default: 1...100))
    func passesAll(seed: UInt64) {
        var chance = Chance(seed: seed)
        var run = FlowRun(total: chance.below(3) * chance.below(500), chance.hits(percent: 50))
        for _ in 0..<5_000 where !run.flow.isFinished {
            if chance.hits(percent: 50) { run.source(&chance) } else { run.sink(&chance) }
        }
        #expect(run.problem == nil, "seed \(seed)")
        #expect(run.passed == run.total, "seed \(seed)")
        #expect(run.opened == 1 && run.ended == 1, "seed \(seed)")
    }
}

/// A source that has so many bytes to give and a sink that pulls when it was asked to.
private struct FlowRun {
    let total: Int
    private let hasTrailers: Bool
    private(set) var flow = MessageFlow()
    private(set) var passed = 0
    private(set) var opened = 0
    private(set) var ended = 0
    private(set) var problem: String?
    private var received = 0
    private var isPulling = false

    init(total: Int, _ hasTrailers: Bool) {
        self.total = total
        self.hasTrailers = hasTrailers
    }

    mutating func source(_ chance: inout Chance) {
        // Several things may come in one read.
        for _ in 0...chance.below(3) {
            if !flow.hasHeaders {
                flow.headersReceived()
            } else if received < total {
                received += min(total - received, 1 + chance.below(60))
            } else if hasTrailers {
                flow.trailersReceived()
            } else {
                flow.endReceived()
            }
        }
        switch flow.advance(available: received - passed) {
        case .none: break
        case .submitHeaders:
            opened += 1
            isPulling = true
        case .submitHeadersOnly:
            opened += 1
            ended += 1
            if total > 0 || hasTrailers { problem = "headers only, though more is to come" }
        case .resume:
            if isPulling { problem = "resumed though it did not wait" }
            isPulling = true
        }
    }

    mutating func sink(_ chance: inout Chance) {
        guard isPulling, !flow.isFinished else { return }
        let available = received - passed
        switch flow.portion(available: available, limit: 1 + chance.below(40)) {
        case .wait:
            if available > 0 { problem = "waits with \(available) bytes" }
            isPulling = false
        case .more(let count): passed += count
        case .last(let count):
            passed += count
            ended += 1
            if hasTrailers { problem = "the last without its trailers" }
        case .lastBeforeTrailers(let count):
            passed += count
            ended += 1
            if !hasTrailers { problem = "trailers that never came" }
        }
    }
}
