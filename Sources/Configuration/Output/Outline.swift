/// What a configuration says, item by item, as it is written but with its variables replaced: to be
/// shown, and to be compared with another's. Defaults are no part of it, nor are comments.
public struct Outline: Sendable, Equatable {
    /// One entry of a list such as `routes`, or all of a section that is no list.
    public struct Item: Sendable, Equatable {
        /// `routes`, `access` and so on.
        public let section: String
        /// Empty where the section is no list.
        public let name: String
        public let terms: [Term]
    }

    /// `limits.pings`, and what is written there.
    public struct Term: Sendable, Equatable {
        public let key: String
        public let value: String
    }

    /// Of all files together: more is neither kept nor compared.
    public static let bytesMax = 16 << 20

    public private(set) var items: [Item] = []

    /// Nil where the sources are no YAML, or too much of it.
    public init?(_ sources: [Source], environment: [String: String]) {
        guard let tree = Self.tree(sources, environment) else { return nil }
        self.init(tree)
    }

    /// From what `json` gives.
    public init?(json: String) {
        var tree = Tree()
        // JSON is YAML. Nothing in it is a variable any more.
        let bytes = Array(json.utf8)
        guard YAMLReader.read(bytes, named: "", into: &tree) == nil else { return nil }
        self.init(tree)
    }

    /// All of it, the sections of all files joined.
    public static func json(_ sources: [Source], environment: [String: String]) -> JSON? {
        guard let tree = tree(sources, environment) else { return nil }
        var sections: [(String, JSON)] = []
        tree.forEachSection { key, value in
            let json = tree.json(value)
            guard let index = sections.firstIndex(where: { $0.0 == key }),
                case .array(let earlier) = sections[index].1, case .array(let more) = json
            else { return sections.append((key, json)) }
            sections[index].1 = .array(earlier + more)
        }
        return .object(sections)
    }

    private static func tree(_ sources: [Source], _ environment: [String: String]) -> Tree? {
        guard sources.reduce(0, { $0 + $1.bytes.count }) <= bytesMax else { return nil }
        var tree = Tree()
        for source in sources {
            guard YAMLReader.read(source.bytes, named: source.name, into: &tree) == nil else {
                return nil
            }
        }
        var expansion = Expansion(environment: environment, digest: Digest())
        expansion.expand(&tree)
        return tree
    }

    private init(_ tree: Tree) {
        tree.forEachSection { section, value in
            guard tree.kind(value) == .list else {
                var terms: [Term] = []
                tree.collect(value, "", into: &terms)
                items.append(Item(section: section, name: "", terms: terms))
                return
            }
            tree.forEachChild(of: value) { item in
                var terms: [Term] = []
                tree.collect(item, "", into: &terms)
                terms.removeAll { $0.key == "name" }
                let name = tree.name(of: item) ?? ""
                items.append(Item(section: section, name: name, terms: terms))
            }
        }
    }
}

extension Tree {
    fileprivate func forEachSection(_ body: (String, NodeID) -> Void) {
        for file in files where !file.isEmpty {
            forEachEntry(of: file.root) { key, value in body(string(key), value) }
        }
    }

    /// What the item of a list is called.
    fileprivate func name(of id: NodeID) -> String? {
        var name: String?
        forEachEntry(of: id) { key, value in
            if name == nil, string(key) == "name", kind(value) == .scalar { name = string(value) }
        }
        return name
    }

    /// The terms below a node: one for each scalar of mappings and of lists whose items have names,
    /// one for each other list.
    fileprivate func collect(_ id: NodeID, _ path: String, into terms: inout [Outline.Term]) {
        let prefix = path.isEmpty ? "" : path + "."
        switch kind(id) {
        case .scalar: break
        case .mapping:
            return forEachEntry(of: id) { key, value in
                collect(value, prefix + string(key), into: &terms)
            }
        case .list:
            var names: [String] = []
            forEachChild(of: id) { item in if let name = name(of: item) { names.append(name) } }
            guard names.count == count(id), Set(names).count == names.count, !names.isEmpty else {
                break
            }
            var index = 0
            return forEachChild(of: id) { item in
                collect(item, prefix + names[index], into: &terms)
                index += 1
            }
        }
        terms.append(Outline.Term(key: path, value: flow(id)))
    }

    /// On one line, as YAML's flow style has it.
    fileprivate func flow(_ id: NodeID) -> String {
        switch kind(id) {
        case .scalar:
            let text = string(id)
            return text.isPlain ? text : JSON.string(text).text()
        case .list:
            var items: [String] = []
            forEachChild(of: id) { items.append(flow($0)) }
            return "[" + items.joined(separator: ", ") + "]"
        case .mapping:
            var entries: [String] = []
            forEachEntry(of: id) { entries.append(flow($0) + ": " + flow($1)) }
            return "{" + entries.joined(separator: ", ") + "}"
        }
    }

    fileprivate func json(_ id: NodeID) -> JSON {
        switch kind(id) {
        case .scalar:
            let text = string(id)
            if flags(id).contains(.quoted) { return .string(text) }
            if text == "true" || text == "false" { return .bool(text == "true") }
            // Numbers that read as they are written.
            if let number = Int(text), "\(number)" == text { return .number(number) }
            return .string(text)
        case .list:
            var items: [JSON] = []
            forEachChild(of: id) { items.append(json($0)) }
            return .array(items)
        case .mapping:
            var members: [(String, JSON)] = []
            forEachEntry(of: id) { members.append((string($0), json($1))) }
            return .object(members)
        }
    }
}

extension String {
    /// Reads as itself within a flow.
    fileprivate var isPlain: Bool {
        !isEmpty
            && !utf8.contains { $0 <= 0x20 || $0 >= 0x7f || ",[]{}\"#&*!|>'%@`".utf8.contains($0) }
    }
}
