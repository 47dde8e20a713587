/// Reads the tree by the language's tables and collects everything that is wrong with it.
///
/// Its verbs return nil after they reported why; callers go on with the rest, so that one run shows
/// all errors.
final class Checker {
    typealias NodeID = Tree.NodeID
    typealias Place = Diagnostic.Place

    /// More are counted, not kept: a file of errors must not cost more than one of routes.
    static let diagnosticsMax = 1_000

    let tree: Tree
    private(set) var diagnostics: [Diagnostic] = []
    private(set) var omitted = 0
    private(set) var hasErrors = false

    init(_ tree: Tree) { self.tree = tree }

    /// Whether another diagnostic would be kept: if not, its words need not be made.
    private var isFull: Bool { diagnostics.count >= Self.diagnosticsMax }

    func report(_ code: DiagnosticCode, _ diagnostic: @autoclosure () -> Diagnostic) {
        if code.severity == .error { hasErrors = true }
        if isFull { omitted += 1 } else { diagnostics.append(diagnostic()) }
    }

    func fail(
        _ code: DiagnosticCode, _ node: NodeID, _ message: @autoclosure () -> String,
        expected: @autoclosure () -> String? = nil
    ) {
        report(code, Diagnostic(code, tree.place(node), message(), expected: expected()))
    }

    /// Reports a name that is none of `known`.
    func failUnknown(
        _ code: DiagnosticCode, _ node: NodeID, _ what: String,
        known: @autoclosure () -> [String]
    ) {
        guard !isFull else {
            report(code, Diagnostic(code, tree.place(node), what))
            return
        }
        let known = known()
        // More are not printed, and a suggestion among thousands of names takes a while.
        let isPrinted = diagnostics.count < 100
        let name = tree.string(node)
        report(
            code,
            Diagnostic(
                code, tree.place(node), "\(what) '\(name.quotable)'",
                expected: Suggestion.list(known),
                suggestion: isPrinted ? Suggestion.nearest(to: name, among: known) : nil))
    }

    /// What a node is, for "found ..." in messages.
    func found(_ node: NodeID) -> String {
        switch tree.kind(node) {
        case .list: "a list"
        case .mapping: "a mapping"
        case .scalar where tree.count(node) == 0 && !tree.flags(node).contains(.quoted): "nothing"
        case .scalar: "'\(tree.string(node).quotable)'"
        }
    }
}

/// The values of a mapping by key.
struct Fields<Key: LanguageKey> {
    let node: Tree.NodeID
    /// 0 is a key that was not given.
    fileprivate var values = InlineArray<32, Tree.NodeID>(repeating: 0)

    fileprivate init(_ node: Tree.NodeID) { self.node = node }

    subscript(key: Key) -> Tree.NodeID? {
        let value = values[key.rawValue]
        return value == 0 ? nil : value
    }
}

extension Checker {
    /// The entries of a mapping, keys checked: unknown, unsupported, twice, missing.
    func fields<Key: LanguageKey>(_ node: NodeID, _: Key.Type) -> Fields<Key>? {
        let table = Key.table
        var fields = Fields<Key>(node)
        guard
            readEntries(
                of: node, table,
                { index, value in
                    if fields.values[index] != 0 { return false }
                    fields.values[index] = value
                    return true
                })
        else { return nil }
        for (index, term) in table.terms.enumerated()
        where term.isRequired && fields.values[index] == 0 {
            fail(
                .missingKey, node, "this \(table.name) has no '\(term.key)'",
                expected: "\(term.key): \(term.shape.words)")
        }
        checkOneOf(fields, table)
        return fields
    }

    /// Calls `take` for each known entry; false from it is a key's second time. False if `node` is
    /// no mapping.
    func readEntries(
        of node: NodeID, _ table: ObjectTerms, _ take: (Int, NodeID) -> Bool
    ) -> Bool {
        guard tree.kind(node) == .mapping else {
            fail(
                .wrongType, node, "\(found(node)) where \(table.name.withArticle) belongs",
                expected: "a mapping with \(Suggestion.list(table.supportedKeys) ?? "keys")")
            return false
        }
        tree.forEachEntry(of: node) { key, value in
            let bytes = tree.bytes(key)
            guard let index = table.keys.firstIndex(where: { bytes.elementsEqual($0) }) else {
                failUnknown(
                    .unknownKey, key, "unknown key", known: table.supportedKeys)
                return
            }
            guard table.terms[index].isSupported else {
                fail(
                    .unsupported, key,
                    "'\(table.terms[index].key)' is not yet supported by this version",
                    expected: "it to be left out")
                return
            }
            if !take(index, value) {
                fail(
                    .duplicateKey, key, "the key '\(table.terms[index].key)' is given twice",
                    expected: "each key once")
            }
        }
        return true
    }

    private func checkOneOf<Key>(_ fields: Fields<Key>, _ table: ObjectTerms) {
        guard !table.oneOf.isEmpty else { return }
        var given: [String] = []
        for (index, term) in table.terms.enumerated() where fields.values[index] != 0 {
            if table.oneOf.contains(term.key) { given.append(term.key) }
        }
        let choices = table.oneOf.joined(separator: ", ")
        if given.isEmpty {
            fail(
                .missingKey, fields.node, "this \(table.name) has none of \(choices)",
                expected: "exactly one of them")
        } else if given.count > 1 {
            fail(
                .conflict, fields.node,
                "this \(table.name) has \(given.joined(separator: " and "))",
                expected: "one of them")
        }
    }

    /// The items of a list, as many as `counts` says.
    func items(_ node: NodeID, _ what: String, _ counts: ClosedRange<Int>) -> [NodeID] {
        guard tree.kind(node) == .list else {
            fail(
                .wrongType, node, "\(found(node)) where \(what) belong",
                expected: "a list")
            return []
        }
        if tree.count(node) < counts.lowerBound {
            fail(.badValue, node, "an empty list of \(what)", expected: "at least one, or no list")
        }
        guard tree.count(node) <= counts.upperBound else {
            fail(
                .tooMany, node, "\(tree.count(node)) \(what)",
                expected: "at most \(counts.upperBound)")
            return []
        }
        var items: [NodeID] = []
        items.reserveCapacity(tree.count(node))
        tree.forEachChild(of: node) { items.append($0) }
        return items
    }

    /// The entries of a mapping with free keys, at most `max`; keys that come twice are reported.
    func entries(
        _ node: NodeID, _ what: String, max: Int
    ) -> [(key: NodeID, value: NodeID)] {
        guard tree.kind(node) == .mapping else {
            fail(
                .wrongType, node, "\(found(node)) where \(what) belong",
                expected: "a mapping from names to values")
            return []
        }
        guard tree.count(node) <= max else {
            fail(.tooMany, node, "\(tree.count(node)) \(what)", expected: "at most \(max)")
            return []
        }
        var entries: [(key: NodeID, value: NodeID)] = []
        tree.forEachEntry(of: node) { key, value in
            let name = tree.bytes(key)
            let isSecond = entries.contains {
                tree.bytes($0.key).elementsEqual(name) { $0.lowercased == $1.lowercased }
            }
            if isSecond {
                fail(
                    .duplicateKey, key, "'\(tree.string(key).quotable)' is given twice",
                    expected: "each name once")
            } else {
                entries.append((key, value))
            }
        }
        return entries
    }
}

extension Checker {
    /// In the order of files and lines.
    var sortedDiagnostics: [Diagnostic] {
        let order = Dictionary(
            tree.files.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
        return diagnostics.enumerated().sorted { a, b in
            let left = (order[a.element.file] ?? 0, a.element.line, a.element.column, a.offset)
            let right = (order[b.element.file] ?? 0, b.element.line, b.element.column, b.offset)
            return left < right
        }.map(\.element)
    }
}
