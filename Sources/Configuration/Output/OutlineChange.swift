/// How one item of a configuration differs from the same one of another, and what becomes of what
/// is open when the other is loaded.
public struct OutlineChange: Sendable, Equatable {
    public enum Kind: Sendable, Equatable { case added, removed, changed }

    /// A term that differs; nil where it is not written.
    public struct Difference: Sendable, Equatable {
        public let key: String
        public let old: String?
        public let new: String?
    }

    public let kind: Kind
    public let section: String
    public let name: String
    /// Of an item that was changed.
    public let differences: [Difference]

    /// In the order of the new configuration, then what is gone.
    public static func list(from old: Outline, to new: Outline) -> [OutlineChange] {
        let known = Dictionary(old.items.map { (Key($0), $0) }) { first, _ in first }
        let wanted = Set(new.items.map(Key.init))
        let changes = new.items.compactMap { item -> OutlineChange? in
            guard let earlier = known[Key(item)] else { return OutlineChange(.added, item) }
            let differences = difference(earlier.terms, item.terms)
            return differences.isEmpty ? nil : OutlineChange(.changed, item, differences)
        }
        let gone = old.items.filter { !wanted.contains(Key($0)) }
        return changes + gone.map { OutlineChange(.removed, $0) }
    }

    private struct Key: Hashable {
        let section: String
        let name: String

        init(_ item: Outline.Item) {
            section = item.section
            name = item.name
        }
    }

    private init(_ kind: Kind, _ item: Outline.Item, _ differences: [Difference] = []) {
        self.kind = kind
        section = item.section
        name = item.name
        self.differences = differences
    }

    private static func difference(
        _ old: [Outline.Term], _ new: [Outline.Term]
    ) -> [Difference] {
        let before = Dictionary(old.map { ($0.key, $0.value) }) { first, _ in first }
        let after = Set(new.map(\.key))
        let changed = new.filter { before[$0.key] != $0.value }.map {
            Difference(key: $0.key, old: before[$0.key], new: $0.value)
        }
        let gone = old.filter { !after.contains($0.key) }.map {
            Difference(key: $0.key, old: $0.value, new: nil)
        }
        return changed + gone
    }
}

extension OutlineChange: CustomStringConvertible {
    /// `~ route orders: timeout 2s -> 5s: holds for the next request`.
    public var description: String {
        let sign = kind == .added ? "+" : kind == .removed ? "-" : "~"
        var text = "\(sign) \(section)" + (name.isEmpty ? "" : " \(name)")
        if !differences.isEmpty {
            let words = differences.map { difference in
                let old = (difference.old ?? "(default)").quotable
                return "\(difference.key) \(old) -> \((difference.new ?? "(default)").quotable)"
            }
            text += ": " + words.joined(separator: ", ")
        }
        return text + (consequence.map { ": " + $0 } ?? "")
    }

    /// What happens to connections and requests that are open, in words (docs/operations.md).
    private var consequence: String? {
        switch (section, kind) {
        case (_, .added): return nil
        case ("listeners", .removed):
            return "its clients are asked to go, and cut after its 'drain'"
        case ("listeners", .changed):
            if has(["address"]) {
                return
                    "a new listener; clients of the old one are asked to go, and cut after 'drain'"
            }
            return has(["limits", "timeouts", "tls"])
                ? "connections that are open keep what they have" : "holds from the next request on"
        case ("upstreams", .removed): return "its connections end with their last request"
        case ("upstreams", .changed):
            if has(["limits", "timeouts", "tls"]) {
                return "it gets new connections; the old ones end with their last request"
            }
            return has(["endpoints"])
                ? "connections to endpoints that left end with their last request"
                : "holds from the next request on"
        case ("rate_limits", .changed):
            return has(["by", "keys"])
                ? "it begins with full buckets" : "its buckets keep what was taken from them"
        case ("routes", _), ("access", _): return "holds from the next request on"
        default: return nil
        }
    }

    private func has(_ keys: [String]) -> Bool {
        differences.contains { difference in
            keys.contains { difference.key == $0 || difference.key.hasPrefix($0 + ".") }
        }
    }
}
