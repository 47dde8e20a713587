internal import Wire

/// What rules that name a request have among them.
struct AccessTraits: OptionSet, BitwiseCopyable, Sendable {
    let rawValue: UInt8

    /// An enforced rule names tokens.
    static let tokens = AccessTraits(rawValue: 1)
    static let dryRun = AccessTraits(rawValue: 2)
    /// A rule in dry run names tokens.
    static let rehearsedTokens = AccessTraits(rawValue: 4)
}

/// Where the rules are that name a request: groups of the table that it was found in.
public struct AccessMatch: Sendable {
    /// Of all listeners and of one: a whole path, its prefixes, and any path.
    private static let groupsMax = 2 * (PathPrefixes.depthMax + 2)

    private var groups: [68 of UInt32] = .init(repeating: 0)
    private(set) var count = 0
    /// The request's HTTP method, by the table's number for it; 0 is one that no rule asks for.
    var method: UInt32 = 0
    private var traits: AccessTraits = []

    init() {}

    /// Whether a valid token could make a difference, and one that is not valid does: the caller is
    /// to say what became of the request's token.
    public var namesTokens: Bool { traits.contains(.tokens) }
    /// The same, for rules in dry run alone: nothing should wait for a key that it takes.
    public var rehearsesTokens: Bool { traits.contains(.rehearsedTokens) }

    func has(_ trait: AccessTraits) -> Bool { traits.contains(trait) }

    /// The position of a group, from 0 to `count`.
    subscript(place: Int) -> Int { Int(groups[place]) }

    @inline(__always)
    mutating func collect(
        _ path: Span<UInt8>, _ prefixes: borrowing PathPrefixes, owner position: Int,
        in parts: borrowing AccessTable.Parts
    ) {
        let owner = parts.owners[position]
        let tag = UInt32(truncatingIfNeeded: position) << 2
        if owner.hasExactPaths {
            let whole = path.extracting(0..<prefixes.pathEnd)
            let kind = PathKind.exact.rawValue
            add(parts.group(whole, prefixes.pathHash, tag | kind), in: parts)
        }
        var depths = owner.prefixDepths
        while depths != 0 {
            let depth = depths.trailingZeroBitCount
            depths &= depths &- 1
            if depth > prefixes.count { break }
            let prefix = prefixes.prefix(depth)
            let part = path.extracting(0..<prefix.end)
            add(parts.group(part, prefix.hash, tag | prefix.kind.rawValue), in: parts)
        }
        if owner.anyPath >= 0 { add(Int(owner.anyPath), in: parts) }
    }

    private mutating func add(_ group: Int?, in parts: borrowing AccessTable.Parts) {
        guard let group else { return }
        let found = parts.groups[group]
        // Each owner has at most a path, its prefixes and any path: there is always room.
        precondition(count < Self.groupsMax, "more groups than a path has prefixes")
        groups[count] = UInt32(truncatingIfNeeded: group)
        count &+= 1
        guard found.hasMethods else {
            traits.formUnion(found.traits)
            return
        }
        let first = Int(found.firstEntry)
        for place in first..<first + Int(found.entryCount) {
            let entry = parts.entries[place]
            if entry.method == 0 || entry.method == method {
                traits.formUnion(parts.rules[Int(entry.rule)].traits)
            }
        }
    }
}

/// Goes through the rules that a match found; one that names a request twice comes twice.
struct AccessWalk {
    private let includesDryRuns: Bool
    private var place = 0
    private var entry = 0
    private var end = 0

    init(includesDryRuns: Bool) { self.includesDryRuns = includesDryRuns }

    /// The next rule's position.
    @inline(__always)
    mutating func next(
        _ match: AccessMatch, in parts: borrowing AccessTable.Parts
    ) -> Int? {
        while true {
            while entry < end {
                let found = parts.entries[entry]
                entry &+= 1
                guard found.method == 0 || found.method == match.method else { continue }
                let rule = Int(found.rule)
                if includesDryRuns || !parts.rules[rule].isDryRun { return rule }
            }
            guard place < match.count else { return nil }
            let group = parts.groups[match[place]]
            place &+= 1
            entry = Int(group.firstEntry)
            end = entry &+ Int(group.entryCount)
        }
    }
}

extension AccessTable.Parts {
    @inline(__always)
    func isText(_ slice: AccessTable.Slice, _ text: Span<UInt8>) -> Bool {
        text.count == Int(slice.count) && isEqual(text, bytes.span, from: Int(slice.start))
    }

    /// Of a key under its owner.
    func group(_ path: Span<UInt8>, _ hash: UInt64, _ owner: UInt32) -> Int? {
        key(path, hash, owner).map { Int(keys[$0].group) }
    }

    func key(_ path: Span<UInt8>, _ hash: UInt64, _ owner: UInt32) -> Int? {
        let mixed = RouteHash.key(hash, owner)
        var slot = keySlots.start(mixed)
        while keySlots.slots[slot] != 0 {
            if let position = SlotTable.position(keySlots.slots[slot], mixed),
                keys[position].owner == owner, isText(keys[position].text, path)
            {
                return position
            }
            slot = keySlots.next(slot)
        }
        return nil
    }

    func methodNumber(_ method: Span<UInt8>) -> UInt32 {
        for (index, slice) in methods.enumerated() where isText(slice, method) {
            return UInt32(truncatingIfNeeded: index + 1)
        }
        return 0
    }
}
