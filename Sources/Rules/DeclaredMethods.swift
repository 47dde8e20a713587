internal import Wire

/// The gRPC methods that have series of their own, found by a request's path. Immutable.
public final class DeclaredMethods: Sendable {
    /// `pkg.Service/Method`, each once.
    public let names: [String]
    private let paths: [[UInt8]]
    private let table: SlotTable

    public init(_ names: [String]) {
        var seen: Set<String> = []
        self.names = names.filter { seen.insert($0).inserted }
        paths = self.names.map { Array("/\($0)".utf8) }
        var table = SlotTable(count: paths.count)
        for (position, path) in paths.enumerated() {
            table.insert(position, Self.hash(path.span))
        }
        self.table = table
    }

    /// The position in `names` of the method that a path names; nil where it is none of them.
    public func position(of path: Span<UInt8>) -> Int? {
        let hash = Self.hash(path)
        var slot = table.start(hash)
        while table.slots[slot] != 0 {
            if let position = SlotTable.position(table.slots[slot], hash) {
                let candidate = paths[position]
                if candidate.count == path.count, isEqual(path, candidate.span, from: 0) {
                    return position
                }
            }
            slot = table.next(slot)
        }
        return nil
    }

    @inline(__always)
    private static func hash(_ path: Span<UInt8>) -> UInt64 {
        var hash = RouteHash()
        var index = 0
        while index &+ 8 <= path.count {
            hash.append(whole: path.word(at: index))
            index &+= 8
        }
        while index < path.count {
            hash.append(path[index])
            index &+= 1
        }
        return hash.value
    }
}
