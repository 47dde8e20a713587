public import Wire

/// One lookup of an upstream's name, from the first question to its endpoints. Performs no I/O:
/// says what to ask, is told what came, and has an outcome when nothing is left to ask.
///
///     A and AAAA at once -> over
///     SRV -> A and AAAA of the most wanted targets -> those of the next -> ... -> over
///
/// Of an SRV answer the targets with the lowest priority count. Those of the next are taken where
/// none of these has an address. A question that fails does not take away what it found before,
/// while others bring news.
public struct NameLookup: Sendable {
    /// What is taken of an answer; more are left out, the same ones every time.
    public static let endpointsMax = 1_000
    /// Of one SRV answer, the most wanted first.
    public static let targetsMax = 100
    public enum RecordType: UInt8, Sendable {
        case ipv4 = 1
        case ipv6 = 28
        case service = 33
    }

    public struct Question: Hashable, Sendable {
        public let name: String
        public let type: RecordType

        public init(name: String, type: RecordType) {
            self.name = name
            self.type = type
        }
    }

    public enum Reply: Sendable {
        case message(DNSMessage)
        /// The name exists, and has nothing of that type.
        case noData
        case noName
        case failed(String)
    }

    public struct Found: Equatable, Sendable {
        public let terms: EndpointTerms
        /// What brought it.
        let origin: Question
    }

    public struct Outcome: Sendable {
        /// Nil where there is no good answer: what was found before stays.
        public var found: [Found]?
        /// Nanoseconds; of all answers the shortest.
        public var ttl: Int64
        /// Why something, or everything, could not be found.
        public var failure: String?
        /// How many endpoints were left out.
        public var omitted = 0

        public init(found: [Found]? = nil, ttl: Int64 = 0, failure: String? = nil) {
            self.found = found
            self.ttl = ttl
            self.failure = failure
        }
    }

    private struct Target {
        let question: String
        let port: UInt16
        let weight: UInt64
    }

    private let terms: DNSTerms
    private let earlier: [Found]
    private var open: Set<Question> = []
    private var replies: [Question: Reply] = [:]
    /// By priority, the lowest first; those of plain names have one.
    private var groups: [[Target]] = []
    private var group = 0
    private var ttl = UInt32.max
    private var failure: String?

    /// - earlier: what the last lookup found.
    public init(_ terms: DNSTerms, earlier: [Found]) {
        self.terms = terms
        self.earlier = earlier
    }

    public var isOver: Bool { open.isEmpty }

    /// The first questions.
    public mutating func begin() -> [Question] {
        guard terms.kind == .service else {
            groups = [[Target(question: terms.name, port: terms.port, weight: 1)]]
            return ask(groups[0])
        }
        let question = Question(name: terms.name, type: .service)
        open.insert(question)
        return [question]
    }

    /// What is to be asked next.
    public mutating func answered(_ question: Question, _ reply: Reply) -> [Question] {
        guard open.remove(question) != nil else { return [] }
        replies[question] = reply
        switch reply {
        case .message(let message): ttl = min(ttl, message.answer.ttl)
        case .failed(let words): failure = failure ?? "\(words) (\(question.name))"
        case .noData, .noName: break
        }
        guard open.isEmpty else { return [] }
        if question.type == .service {
            take(reply)
            return groups.isEmpty ? [] : ask(groups[0])
        }
        guard group + 1 < groups.count, addresses(of: groups[group]).isEmpty else { return [] }
        group += 1
        return ask(groups[group])
    }

    private mutating func ask(_ targets: [Target]) -> [Question] {
        var questions: [Question] = []
        for target in targets {
            for type in types {
                let question = Question(name: target.question, type: type)
                guard replies[question] == nil, open.insert(question).inserted else { continue }
                questions.append(question)
            }
        }
        return questions
    }

    private var types: [RecordType] {
        switch terms.kind {
        case .ipv4: [.ipv4]
        case .ipv6: [.ipv6]
        case .both, .service: [.ipv4, .ipv6]
        }
    }

    /// The targets of an SRV answer. Their names are whole: no search domain belongs to them.
    private mutating func take(_ reply: Reply) {
        guard case .message(let message) = reply else { return }
        var services: [DNSMessage.Service] = []
        for case .service(let service) in message.answer.contents where service.port > 0 {
            services.append(service)
        }
        services.sort { ($0.priority, $1.weight) < ($1.priority, $0.weight) }
        var chosen: [DNSMessage.Service] = []
        var priority: UInt16?
        for service in services where chosen.count < Self.targetsMax {
            guard let name = service.target.text, !chosen.contains(service) else { continue }
            chosen.append(service)
            let target = Target(
                question: name + ".", port: service.port, weight: max(UInt64(service.weight), 1))
            if service.priority == priority {
                groups[groups.count - 1].append(target)
            } else {
                groups.append([target])
                priority = service.priority
            }
        }
    }

    // MARK: The outcome

    /// Once it is over.
    public var outcome: Outcome {
        var outcome = Outcome()
        outcome.failure = failure
        if let first = serviceFailure {
            outcome.failure = first
            return outcome
        }
        let found = groups.isEmpty ? [] : addresses(of: groups[min(group, groups.count - 1)])
        if failure != nil, !hasNews { return nothing }
        if found.isEmpty {
            return isNamed && failure == nil ? Outcome(found: [], ttl: seconds) : nothing
        }
        let sorted = found.sorted { $0.terms.address.precedes($1.terms.address) }
        outcome.found = Array(sorted.prefix(Self.endpointsMax))
        outcome.omitted = max(0, sorted.count - Self.endpointsMax)
        outcome.ttl = seconds
        return outcome
    }

    private var seconds: Int64 { ttl == .max ? 0 : Int64(ttl) * 1_000_000_000 }

    private var nothing: Outcome {
        Outcome(failure: failure ?? "there is no such name")
    }

    /// Why there are no targets to ask for, where that is no answer.
    private var serviceFailure: String? {
        guard terms.kind == .service,
            let reply = replies[Question(name: terms.name, type: .service)]
        else { return nil }
        switch reply {
        case .message, .noData: return nil
        case .noName: return "there is no such name"
        case .failed(let words): return words
        }
    }

    /// Some answer has addresses: not all that was found is from before.
    private var hasNews: Bool {
        replies.contains { question, reply in
            guard case .message(let message) = reply, question.type != .service else {
                return false
            }
            return !message.answer.contents.isEmpty
        }
    }

    /// Some answer says that the name, or one of the targets, exists.
    private var isNamed: Bool {
        replies.values.contains { reply in
            switch reply {
            case .message, .noData: true
            case .noName, .failed: false
            }
        }
    }

    /// Each address once. A target's weight is shared by its addresses.
    private func addresses(of targets: [Target]) -> [Found] {
        var weights: [SocketAddress: (weight: UInt64, origin: Question)] = [:]
        for target in targets {
            var seen: Set<SocketAddress> = []
            let addresses = addresses(of: target).filter { seen.insert($0.0).inserted }
            // Divisible by the usual numbers of addresses.
            let share = target.weight * 60 / UInt64(max(addresses.count, 1))
            for (address, origin) in addresses {
                weights[address, default: (0, origin)].weight += max(share, 1)
            }
        }
        let most = weights.values.map(\.weight).max() ?? 1
        let isEven = weights.values.allSatisfy { $0.weight == most }
        return weights.map { address, entry in
            let scaled = max(1, entry.weight * UInt64(EndpointTerms.weightMax) / most)
            let terms = EndpointTerms(address, weight: isEven ? 1 : UInt32(scaled))
            return Found(terms: terms, origin: entry.origin)
        }
    }

    private func addresses(of target: Target) -> [(SocketAddress, Question)] {
        var addresses: [(SocketAddress, Question)] = []
        for type in types {
            let question = Question(name: target.question, type: type)
            guard let reply = replies[question] else { continue }
            if case .failed = reply {
                let kept = earlier.filter { $0.origin == question }
                addresses += kept.map { ($0.terms.address.with(port: target.port), question) }
            }
            guard case .message(let message) = reply else { continue }
            for content in message.answer.contents {
                switch content {
                case .ipv4(let address) where type == .ipv4:
                    addresses.append((.ipv4(address: address, port: target.port), question))
                case .ipv6(let high, let low) where type == .ipv6:
                    let address = SocketAddress.ipv6(high: high, low: low, port: target.port)
                    addresses.append((address, question))
                default: break
                }
            }
        }
        return addresses
    }
}

extension SocketAddress {
    fileprivate func with(port: UInt16) -> SocketAddress {
        switch self {
        case .ipv4(let address, _): .ipv4(address: address, port: port)
        case .ipv6(let high, let low, _): .ipv6(high: high, low: low, port: port)
        case .unix: self
        }
    }

    /// By number, IPv4 first.
    fileprivate func precedes(_ other: SocketAddress) -> Bool {
        switch (self, other) {
        case (.ipv4(let one, let port), .ipv4(let two, let otherPort)):
            (one, port) < (two, otherPort)
        case (.ipv6(let high, let low, let port), .ipv6(let high2, let low2, let port2)):
            (high, low, port) < (high2, low2, port2)
        case (.ipv4, _): true
        default: false
        }
    }
}
