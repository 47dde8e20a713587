/// What YAML files say, without meaning: one array of nodes in the order of the text, one buffer of
/// scalars. A node costs 16 bytes and its text, so that 100,000 routes fit in some 30 MB.
struct Tree: Sendable {
    /// A position in `nodes`.
    typealias NodeID = UInt32

    struct Node: Sendable {
        var kind: Kind
        var flags: Flags = []
        /// From 1; 65,535 stands for all beyond.
        var column: UInt16
        /// From 1.
        var line: UInt32
        /// A scalar's offset in `text`; of others the position after their last descendant.
        var start: UInt32
        /// A scalar's length in bytes; of others how many items or entries they have.
        var count: UInt32
    }

    enum Kind: UInt8, Sendable { case scalar, list, mapping }

    struct Flags: OptionSet, Sendable {
        let rawValue: UInt8
        static let quoted = Flags(rawValue: 1)
        /// Its text has a `$`.
        static let variable = Flags(rawValue: 2)
        static let expanded = Flags(rawValue: 4)
        /// What is wrong with it was reported when its variables were expanded.
        static let faulty = Flags(rawValue: 8)
    }

    struct File: Sendable {
        let name: String
        /// Its root, or where the next file's begins if it is empty.
        let root: NodeID
        var isEmpty = false
    }

    /// Node 0 stands for nothing: no child is 0.
    private(set) var nodes: [Node] = [Node(kind: .list, column: 0, line: 0, start: 1, count: 0)]
    private(set) var text: [UInt8] = []
    private(set) var files: [File] = []

    func kind(_ id: NodeID) -> Kind { nodes[Int(id)].kind }
    func count(_ id: NodeID) -> Int { Int(nodes[Int(id)].count) }
    func flags(_ id: NodeID) -> Flags { nodes[Int(id)].flags }

    /// A scalar's bytes.
    func bytes(_ id: NodeID) -> ArraySlice<UInt8> {
        let node = nodes[Int(id)]
        guard node.kind == .scalar else { return [] }
        return text[Int(node.start)..<Int(node.start + node.count)]
    }

    func string(_ id: NodeID) -> String { String(decoding: bytes(id), as: UTF8.self) }

    /// The node after `id` and all below it.
    func after(_ id: NodeID) -> NodeID {
        let node = nodes[Int(id)]
        return node.kind == .scalar ? id + 1 : node.start
    }

    /// The items of a list, or keys and values of a mapping in turn.
    func forEachChild(of id: NodeID, _ body: (NodeID) -> Void) {
        let node = nodes[Int(id)]
        guard node.kind != .scalar else { return }
        var child = id + 1
        while child < node.start {
            body(child)
            child = after(child)
        }
    }

    func forEachEntry(of id: NodeID, _ body: (_ key: NodeID, _ value: NodeID) -> Void) {
        let node = nodes[Int(id)]
        guard node.kind == .mapping else { return }
        var key = id + 1
        while key < node.start {
            body(key, key + 1)
            key = after(key + 1)
        }
    }

    func place(_ id: NodeID) -> Diagnostic.Place {
        let node = nodes[Int(id)]
        return Diagnostic.Place(
            file: files[file(of: id)].name, line: Int(node.line), column: Int(node.column))
    }

    /// The position in `files` of the file that a node came from: the last that begins before it.
    func file(of id: NodeID) -> Int {
        var low = 0
        var high = files.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if files[middle].root <= id { low = middle } else { high = middle }
        }
        return low
    }
}

/// How the reader fills it.
extension Tree {
    mutating func beginFile(_ name: String) {
        files.append(File(name: name, root: UInt32(nodes.count)))
    }

    mutating func endFile() {
        guard let last = files.last, last.root == nodes.count else { return }
        files[files.count - 1].isEmpty = true
    }

    /// Makes room for what so many bytes of YAML will need, which in block style is about one node
    /// for each 8 bytes.
    mutating func reserve(for bytes: Int) {
        nodes.reserveCapacity(bytes / 8)
        text.reserveCapacity(bytes / 2)
    }

    mutating func append(_ node: Node) -> NodeID {
        nodes.append(node)
        return UInt32(nodes.count - 1)
    }

    mutating func appendText(_ bytes: Span<UInt8>) -> UInt32 {
        let start = UInt32(text.count)
        text.append(addingCapacity: bytes.count) { output in
            for index in bytes.indices { output.append(bytes[index]) }
        }
        return start
    }

    mutating func countChild(of id: NodeID) { nodes[Int(id)].count += 1 }
    mutating func close(_ id: NodeID) { nodes[Int(id)].start = UInt32(nodes.count) }

    mutating func markFaulty(_ id: NodeID) { nodes[Int(id)].flags.insert(.faulty) }

    mutating func replace(_ id: NodeID, with bytes: [UInt8]) {
        nodes[Int(id)].start = appendText(bytes.span)
        nodes[Int(id)].count = UInt32(bytes.count)
        nodes[Int(id)].flags.insert(.expanded)
    }
}
