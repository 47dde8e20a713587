/// A pattern whose host and path cover a request, and what became of it.
public struct Consideration: Sendable, Equatable {
    /// Its position in the list that the table was made of.
    public let pattern: Int
    public let route: Int
    public let outcome: Outcome

    public enum Outcome: Sendable, Equatable {
        /// The request takes its route.
        case chosen
        /// It matches too, but another one does that is more specific.
        case lessSpecific
        /// It asks for this HTTP method, and the request has another one.
        case methodDiffers(expected: String)
        case header(name: String, Mismatch)
        case parameter(name: String, Mismatch)
    }

    public enum Mismatch: Sendable, Equatable {
        case missing, repeated, present, differs
    }
}

extension Consideration.Outcome: CustomStringConvertible {
    public var description: String {
        switch self {
        case .chosen: "chosen"
        case .lessSpecific: "matches, but another one is more specific"
        case .methodDiffers(let expected): "does not match: the HTTP method is not \(expected)"
        case .header(let name, let mismatch): "does not match: the header \(name) \(mismatch.words)"
        case .parameter(let name, let mismatch):
            "does not match: the query's parameter \(name) \(mismatch.words)"
        }
    }
}

extension Consideration.Mismatch {
    fileprivate var words: String {
        switch self {
        case .missing: "is missing"
        case .repeated: "occurs more than once"
        case .present: "is present"
        case .differs: "has another value"
        }
    }

    fileprivate init(_ verdict: ConditionVerdict) {
        self =
            switch verdict {
            case .missing: .missing
            case .repeated: .repeated
            case .present: .present
            case .holds, .differs: .differs
            }
    }
}

/// One pattern as it was compiled.
public struct CompiledPattern: Sendable, Equatable {
    /// Its position in the list that the table was made of.
    public let pattern: Int
    public let route: Int
    public let host: HostPattern
    /// A prefix by segments is without a final slash, and `/` is any.
    public let path: PathPattern
    public let httpMethod: [UInt8]?
    public let headerCount: Int
    public let parameterCount: Int
}

extension RouteTable {
    /// Every pattern whose host and path cover the request, the most specific first, with what
    /// became of it. Nothing at all means that no pattern covers both.
    public func explain(
        authority: Span<UInt8>, httpMethod: Span<UInt8>, path: Span<UInt8>,
        fields: borrowing some RequestFields
    ) -> [Consideration] {
        var considerations: [Consideration] = []
        var isChosen = false
        var search = RouteSearch(authority: authority, path: path, in: parts)
        let query = path.extracting(search.query(of: path))
        while let group = search.next(path, in: parts) {
            for candidate in parts.candidates[group] {
                var outcome = Consideration.Outcome.chosen
                if !parts.hasMethod(candidate, httpMethod) {
                    let method = string(parts.methods[Int(candidate.method) - 1])
                    outcome = .methodDiffers(expected: method)
                } else if let unmet = parts.firstUnmet(candidate, query, fields) {
                    outcome = self.outcome(unmet, of: candidate)
                } else if isChosen {
                    outcome = .lessSpecific
                } else {
                    isChosen = true
                }
                considerations.append(
                    Consideration(
                        pattern: Int(candidate.pattern), route: Int(candidate.route),
                        outcome: outcome))
            }
        }
        return considerations
    }

    /// All patterns, the most specific first; where that is undecided, hosts and paths in the order
    /// of their bytes.
    public var compiledOrder: [CompiledPattern] {
        var groups: [(host: HostPattern, path: PathPattern, candidates: Range<Int>)] = []
        for host in parts.hosts where host.candidateCount > 0 {
            let first = Int(host.firstCandidate)
            groups.append(
                (pattern(of: host), .any, first..<(first + Int(host.candidateCount))))
        }
        for path in parts.paths {
            let host = pattern(of: parts.hosts[Int(path.owner >> 2)])
            let first = Int(path.firstCandidate)
            groups.append(
                (host, pattern(of: path), first..<(first + Int(path.candidateCount))))
        }
        groups.sort { left, right in
            left.host == right.host
                ? left.path.precedes(right.path) : left.host.precedes(right.host)
        }
        return groups.flatMap { group in
            parts.candidates[group.candidates].map { compiled($0, group.host, group.path) }
        }
    }

    private func outcome(
        _ unmet: UnmetCondition, of candidate: Candidate
    ) -> Consideration.Outcome {
        let name = string(parts.conditions[unmet.position].name)
        let mismatch = Consideration.Mismatch(unmet.verdict)
        let isHeader = unmet.position - Int(candidate.firstCondition) < Int(candidate.headers)
        return isHeader ? .header(name: name, mismatch) : .parameter(name: name, mismatch)
    }

    private func compiled(
        _ candidate: Candidate, _ host: HostPattern, _ path: PathPattern
    ) -> CompiledPattern {
        let method = candidate.method == 0 ? nil : parts.methods[Int(candidate.method) - 1]
        return CompiledPattern(
            pattern: Int(candidate.pattern), route: Int(candidate.route), host: host, path: path,
            httpMethod: method.map { Array(parts.bytes[$0.range]) },
            headerCount: Int(candidate.headers), parameterCount: Int(candidate.parameters))
    }

    private func pattern(of host: Host) -> HostPattern {
        let text = Array(parts.bytes[host.text.range])
        return switch text.first {
        case nil: .any
        case UInt8(ascii: "."): .wildcard(suffix: text)
        default: .exact(text)
        }
    }

    private func pattern(of path: Path) -> PathPattern {
        let start = Int(path.start)
        let text = Array(parts.bytes[start..<(start + Int(path.count))])
        return path.owner & 3 == PathKind.exact.rawValue ? .exact(text) : .prefix(text)
    }

    private func string(_ slice: Slice) -> String {
        String(decoding: parts.bytes[slice.range], as: UTF8.self)
    }
}

extension HostPattern {
    fileprivate func precedes(_ other: HostPattern) -> Bool {
        switch (self, other) {
        case (.exact(let a), .exact(let b)): a.lexicographicallyPrecedes(b)
        case (.exact, _): true
        case (.wildcard(let a), .wildcard(let b)):
            a.count == b.count ? a.lexicographicallyPrecedes(b) : a.count > b.count
        case (.wildcard, .any): true
        default: false
        }
    }
}

extension PathPattern {
    fileprivate func precedes(_ other: PathPattern) -> Bool {
        switch (self, other) {
        case (.exact(let a), .exact(let b)): a.lexicographicallyPrecedes(b)
        case (.exact, _): true
        case (.prefix(let a), .prefix(let b)):
            a.count == b.count ? a.lexicographicallyPrecedes(b) : a.count > b.count
        case (.prefix, .any): true
        default: false
        }
    }
}
