import Peers
import Wire

/// Everything that is meant to happen in one simulated history; the seed draws it.
struct Scenario {
    enum Disturbance {
        case reload
        case drain
        case lackOfDescriptors(nanoseconds: Int64)
    }

    var clients: [ClientPlan] = []
    /// One list of connection plans for each origin.
    var origins: [[OriginConnectionPlan]] = []
    var disturbances: [(after: Int64, Disturbance)] = []
    /// Of 100 connection attempts to origins: refused, unreachable, or without an answer.
    var failedConnects = 0
    var workers = 1
    /// Mutual TLS with clients, and with origins.
    var clientsSpeakTLS = false
    var originsSpeakTLS = false
    /// A balancer stands in front.
    var proxyProtocol: ProxyHeader.Version?
    /// What each origin shows, with TLS.
    var originCredentials: [Mesh.Credential?] = []
    /// What is tried again beyond what no server has processed.
    var retry: RetryPlan?
    /// Connections or streams may end for reasons that are no call's own.
    var hasConnectionFaults = false
    var features = Features()

    static let originAddresses: [SocketAddress] = (0..<3).map {
        .ipv4(address: 0x0A00_0001 + UInt32($0), port: 50_051)
    }
    static let proxyAddress = SocketAddress.ipv4(address: 0x7F00_0001, port: 8_080)

    var calls: [CallPlan] { clients.flatMap { $0.calls } }
}

extension Scenario {
    /// What a seed's world is like as a whole.
    private struct Climate {
        var delay: ClosedRange<Int64>
        var faultPercent: Int
        var connectionFaults: Bool
        var splitsFinely: Bool
        var callsMax: Int
        /// All calls begin within this time.
        var span: Int64
    }

    init(_ chance: inout Chance) {
        var own = chance.split()
        features = Features(&own)
        var climate = Self.climate(&chance)
        if features.isBusy {
            climate.callsMax = 25
            climate.span = 2_000_000_000
        }
        hasConnectionFaults = climate.connectionFaults
        for _ in 0..<chance.within(1...4) {
            clients.append(Self.client(&chance, climate))
        }
        // The only endpoint is never ejected.
        let least = features.ejection == nil ? 1 : 2
        for _ in 0..<chance.within(least...Self.originAddresses.count) {
            origins.append(
                (0..<chance.within(1...4)).map { _ in Self.originConnection(&chance, climate) })
        }
        clientsSpeakTLS = chance.hits(percent: 40)
        originsSpeakTLS = chance.hits(percent: 40)
        if climate.connectionFaults, chance.hits(percent: 30) { failedConnects = 20 }
        for _ in 0..<(chance.hits(percent: 40) ? chance.within(1...4) : 0) {
            disturbances.append((chance.within(0...climate.span), .reload))
        }
        if climate.connectionFaults, chance.hits(percent: 10) {
            let pause = chance.within(Int64(1_000_000)...500_000_000)
            disturbances.append(
                (chance.within(0...climate.span), .lackOfDescriptors(nanoseconds: pause)))
        }
        if chance.hits(percent: 25) {
            disturbances.append((chance.within(0...climate.span), .drain))
        }
        workers = chance.hits(percent: 25) ? 2 : 1
        showCertificates(&chance)
        retry = RetryPlan(&chance)
        for client in clients.indices {
            for call in clients[client].calls.indices {
                clients[client].calls[call].fields += Features.fields(&own)
            }
        }
        if chance.hits(percent: 25) { proxyProtocol = chance.pick([.v1, .v2]) }
        features.mirror = MirrorPlan(&chance)
        refineRetries(&own)
    }

    /// Where attempts are made again, servers fail at them.
    private mutating func refineRetries(_ chance: inout Chance) {
        retry?.refine(&chance)
        guard let retry, chance.hits(percent: 80) else { return }
        if chance.hits(percent: 12) {
            features.breakers = features.breakers ?? BreakerPlan()
            features.breakers?.retries = chance.within(0...2)
        }
        for client in clients.indices {
            for call in clients[client].calls.indices {
                retry.fail(&clients[client].calls[call], &chance)
            }
        }
    }

    private mutating func showCertificates(_ chance: inout Chance) {
        guard clientsSpeakTLS || originsSpeakTLS, case .success(let mesh) = Mesh.shared else {
            return
        }
        for index in clients.indices {
            let good = mesh.web + [mesh.batch, mesh.reports, mesh.brief]
            let bad: [Mesh.Credential?] = [mesh.expired, mesh.stranger, nil]
            clients[index].credential =
                chance.hits(percent: 85) ? chance.pick(good) : chance.pick(bad)
        }
        // A configuration that comes in the middle of a handshake, or soon after.
        if let call = calls.first, chance.hits(percent: 40) {
            let pause = chance.within(
                0...chance.pick([1_000_000, 30_000_000, 200_000_000] as [Int64]))
            disturbances.append((call.startsAfter + pause, .reload))
        }
        originCredentials = origins.map { _ in
            chance.hits(percent: 90) ? chance.pick(mesh.orders) : mesh.billing
        }
    }

    private static func climate(_ chance: inout Chance) -> Climate {
        Climate(
            delay: chance.pick([1_000...20_000, 10_000...200_000, 1_000_000...40_000_000]),
            faultPercent: chance.pick([0, 10, 40]),
            connectionFaults: chance.hits(percent: 50),
            splitsFinely: chance.hits(percent: 15),
            callsMax: chance.pick([1, 4, 12, 25]),
            span: chance.pick([100_000, 10_000_000, 2_000_000_000]))
    }

    // MARK: The network and the ends

    private static func link(_ chance: inout Chance, _ climate: Climate) -> Link {
        var link = Link()
        link.delay = climate.delay
        link.splitsFinely = climate.splitsFinely
        link.pieceMax = chance.pick([100, 1_500, 16_384, 65_536])
        link.capacity = chance.pick([4_096, 65_536, 262_144])
        if climate.connectionFaults, chance.hits(percent: 15) {
            let isForEver = chance.hits(percent: 30)
            link.stall = (
                toServer: chance.hits(percent: 50), afterBytes: chance.within(0...20_000),
                nanoseconds: isForEver ? .max : chance.within(Int64(1_000_000)...3_000_000_000)
            )
        }
        if climate.connectionFaults, chance.hits(percent: 20) {
            let size = chance.pick([100, 2_000, 100_000])
            link.cut = (
                toServer: chance.hits(percent: 50), afterBytes: chance.within(0...size),
                byReset: chance.hits(percent: 60)
            )
        }
        return link
    }

    private static func terms(_ chance: inout Chance) -> PeerSession.Terms {
        var terms = PeerSession.Terms()
        terms.streamWindowBytes = chance.pick([65_535, 65_535, 1 << 20, 16_384, 1_000, 100, 0])
        terms.connectionWindowBytes = chance.pick([65_535, 1 << 20])
        terms.dataFrameBytesMax = chance.pick([16_384, 16_384, 1_000, 50])
        return terms
    }

    private static func pace(_ chance: inout Chance, _ climate: Climate) -> Pace {
        var pace = Pace()
        if chance.hits(percent: 20) { pace.reaction = 0...2_000_000 }
        if chance.hits(percent: 20) { pace.readMax = chance.pick([16, 500, 5_000]) }
        if chance.hits(percent: 30) {
            pace.consumesAfter = chance.pick([0...100_000, 0...5_000_000])
        }
        return pace
    }

    /// Small windows must grow again soon, and not by a frame for every few bytes.
    private static func fit(_ pace: inout Pace, to terms: PeerSession.Terms) {
        guard terms.streamWindowBytes < 16_384 else { return }
        pace.consumesAfter = 0...200_000
        pace.readMax = max(pace.readMax, 500)
    }

    private static func client(_ chance: inout Chance, _ climate: Climate) -> ClientPlan {
        var plan = ClientPlan()
        plan.terms = terms(&chance)
        plan.pace = pace(&chance, climate)
        fit(&plan.pace, to: plan.terms)
        plan.links = (0..<3).map { _ in link(&chance, climate) }
        let bodyMax = bodyMax(plan.terms, plan.pace, plan.links[0])
        plan.calls = (0..<chance.within(1...climate.callsMax)).map { _ in
            call(&chance, climate, bodyMax)
        }
        return plan
    }

    /// Histories stay short: whoever takes few bytes at a time gets few.
    private static func bodyMax(_ terms: PeerSession.Terms, _ pace: Pace, _ link: Link) -> Int {
        let least =
            [
                Int(terms.streamWindowBytes) * 200, terms.dataFrameBytesMax * 200,
                pace.readMax * 200,
                link.pieceMax * 400,
            ].min() ?? 0
        return max(4_000, min(300_000, least))
    }

    private static func originConnection(
        _ chance: inout Chance, _ climate: Climate
    ) -> OriginConnectionPlan {
        var plan = OriginConnectionPlan()
        plan.terms = terms(&chance)
        plan.pace = pace(&chance, climate)
        fit(&plan.pace, to: plan.terms)
        plan.link = link(&chance, climate)
        if chance.hits(percent: 60) {
            plan.terms.concurrentStreams = UInt32(chance.pick([1, 2, 5, 100]))
        }
        guard climate.connectionFaults else { return plan }
        for _ in 0..<chance.below(3) {
            let event: OriginConnectionPlan.Event
            switch chance.below(5) {
            case 0: event = .leave(pause: chance.within(Int64(0)...50_000_000))
            case 1: event = .disown(count: chance.within(0...3))
            case 2: event = .close
            case 3: event = .concurrentStreams(UInt32(chance.within(1...100)))
            default: event = .streamWindow(UInt32(chance.pick([0, 10, 65_535, 200_000])))
            }
            plan.events.append((chance.within(Int64(0)...max(1, climate.span)), event))
        }
        return plan
    }

    // MARK: Calls

    private static func size(_ chance: inout Chance, _ most: Int) -> Int {
        let limit =
            switch chance.below(20) {
            case 0..<4: 0
            case 4..<12: 200
            case 12..<16: 5_000
            case 16..<19: 60_000
            default: 300_000
            }
        return chance.within(0...min(limit, most))
    }

    private static func pacing(_ chance: inout Chance, _ size: Int) -> Pacing {
        guard chance.hits(percent: 40) else { return Pacing() }
        let portion = max(1, size / chance.within(1...20))
        return Pacing(portion: portion, rest: chance.pick([0...10_000, 0...5_000_000]))
    }

    private static func call(
        _ chance: inout Chance, _ climate: Climate, _ bodyMax: Int
    ) -> CallPlan {
        var plan = CallPlan()
        plan.startsAfter = chance.within(0...climate.span)
        plan.isGRPC = chance.hits(percent: 75)
        let size = size(&chance, bodyMax)
        plan.request = Bodies.make(&chance, size, isGRPC: plan.isGRPC)
        plan.sending = pacing(&chance, size)
        plan.fields = Bodies.fields(&chance)
        if plan.isGRPC {
            plan.path =
                "/weir.echo.v1.Echo/"
                + chance.pick(["Unary", "ClientStream", "ServerStream", "Bidi"])
        } else {
            plan.method = chance.pick(["POST", "PUT", "PATCH"])
            plan.path = chance.pick(["/", "/files/a?b=c", "/upload/1"])
            if chance.hits(percent: 40) { plan.trailers = Bodies.fields(&chance) }
            if plan.request.isEmpty, plan.trailers.isEmpty { plan.method = "GET" }
        }
        if plan.isGRPC, chance.hits(percent: 25) {
            let milliseconds = chance.pick([0, 1, 20, 300, 5_000])
            plan.timeout = (Int64(milliseconds) * 1_000_000, "\(milliseconds)m")
        }
        plan.cancel = cancel(&chance, climate, size)
        plan.replies = (0..<chance.within(1...2)).map { _ in
            reply(&chance, climate, plan, bodyMax)
        }
        return plan
    }

    private static func cancel(
        _ chance: inout Chance, _ climate: Climate, _ size: Int
    ) -> CallPlan.Cancel {
        guard chance.hits(percent: climate.faultPercent / 2) else { return .never }
        switch chance.below(4) {
        case 0: return .after(nanoseconds: chance.within(Int64(0)...20_000_000))
        case 1: return .afterRequestBytes(chance.within(0...max(1, size)))
        case 2: return .onResponseHeaders
        default: return .afterResponseBytes(chance.within(1...max(1, size)))
        }
    }

    private static func reply(
        _ chance: inout Chance, _ climate: Climate, _ call: CallPlan, _ bodyMax: Int
    ) -> ReplyPlan {
        var plan = ReplyPlan()
        plan.delay = chance.hits(percent: 50) ? 0 : chance.within(Int64(0)...30_000_000)
        plan.interims = chance.hits(percent: 10) ? chance.within(1...3) : 0
        plan.waitsForRequest = chance.hits(percent: 50)
        let size = size(&chance, bodyMax)
        if chance.hits(percent: 40) {
            plan.body = .bytes(Bodies.make(&chance, size, isGRPC: call.isGRPC))
        }
        plan.sending = pacing(&chance, max(size, call.request.count))
        let status = call.isGRPC ? "200" : chance.pick(["200", "201", "404", "500"])
        let type = call.isGRPC ? "application/grpc" : "text/plain"
        plan.fields = [HeaderField(":status", status), HeaderField("content-type", type)]
        plan.fields += Bodies.fields(&chance)
        let grpcStatus = HeaderField("grpc-status", chance.pick(["0", "0", "0", "5", "14"]))
        if call.isGRPC { plan.trailers = [grpcStatus] }
        if call.isGRPC || chance.hits(percent: 30) { plan.trailers += Bodies.fields(&chance) }
        misbehave(&plan, &chance, climate, size)
        if plan.end == .headersOnly, call.isGRPC { plan.fields.append(grpcStatus) }
        if plan.end == .headersOnly { plan.trailers = [] }
        return plan
    }

    private static func misbehave(
        _ plan: inout ReplyPlan, _ chance: inout Chance, _ climate: Climate, _ size: Int
    ) {
        guard chance.hits(percent: climate.faultPercent) else {
            if !plan.waitsForRequest, case .bytes = plan.body { plan.end = .completeThenReset }
            if chance.hits(percent: 5) { plan.end = .headersOnly }
            return
        }
        let code = chance.pick([0, 1, 2, 3, 7, 7, 8, 11, 12] as [UInt32])
        switch chance.below(5) {
        case 0: plan.end = .reset(afterBytes: nil, code: code)
        // A stream that was answered was processed: REFUSED_STREAM would be a lie.
        case 1: plan.end = .reset(afterBytes: chance.within(0...size), code: code == 7 ? 8 : code)
        case 2: plan.end = .silence(afterBytes: chance.within(0...size))
        case 3: plan.end = .silence(afterBytes: nil)
        default: plan.end = .headersOnly
        }
    }
}

/// Bodies and fields that the seed draws.
enum Bodies {
    private static let pool: [UInt8] = {
        var chance = Chance(seed: 42)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(1 << 20)
        for _ in 0..<1 << 17 {
            let word = chance.next()
            for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: word >> (8 * shift))) }
        }
        return bytes
    }()

    /// `size` bytes, or for gRPC messages of so many bytes together.
    static func make(_ chance: inout Chance, _ size: Int, isGRPC: Bool) -> [UInt8] {
        let start = chance.below(pool.count - size)
        guard isGRPC else { return Array(pool[start..<start + size]) }
        var body: [UInt8] = []
        var left = size
        repeat {
            let count = chance.within(0...left)
            let message = left < 500 ? left : count
            body += MessageFraming.frame(pool[start..<start + message])
            left -= message
        } while left > 0
        return body
    }

    static func fields(_ chance: inout Chance) -> [HeaderField] {
        (0..<chance.below(4)).map { index in
            let long = chance.hits(percent: 5) ? 6_000 : 40
            let value = String(repeating: "v", count: chance.within(0...long))
            return HeaderField("x-t-\(chance.pick(["a", "b", "c"]))", value + String(index))
        }
    }
}
