internal import CYAML

/// The only file that knows libyaml: its events become a `Tree`.
///
/// Of YAML's features Weir takes mappings with scalar keys, lists and scalars. Anchors, aliases,
/// tags and several documents are refused: they make a file say something else than it seems to,
/// and aliases let a small file grow without bound.
@safe struct YAMLReader: ~Copyable {
    static let depthMax = 32
    /// Of one file.
    static let bytesMax = 64 << 20

    struct Fault {
        let code: DiagnosticCode
        let line: Int
        let column: Int
        let message: String
        var expected: String?
    }

    private struct Open {
        let id: Tree.NodeID
        let isMapping: Bool
        /// A mapping's next scalar is a key.
        var takesKey: Bool
    }

    private let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
    private var open: [Open] = []
    private var documents = 0

    private init?() {
        if unsafe yaml_parser_initialize(parser) == 0 { return nil }
    }

    deinit {
        unsafe yaml_parser_delete(parser)
        unsafe parser.deallocate()
    }

    /// Adds what `bytes` say to `tree`, or tells what is wrong with them; half a tree is then left.
    static func read(_ bytes: [UInt8], named name: String, into tree: inout Tree) -> Fault? {
        tree.beginFile(name)
        guard bytes.count <= bytesMax else {
            return Fault(
                code: .tooLarge, line: 0, column: 0, message: "the file has \(bytes.count) bytes",
                expected: "at most \(bytesMax >> 20) MiB")
        }
        guard var reader = YAMLReader() else {
            return Fault(code: .unreadable, line: 0, column: 0, message: "out of memory")
        }
        let fault = unsafe bytes.withUnsafeBufferPointer { input in
            unsafe yaml_parser_set_encoding(reader.parser, YAML_UTF8_ENCODING)
            unsafe yaml_parser_set_input_string(reader.parser, input.baseAddress, input.count)
            return unsafe reader.run(input, &tree)
        }
        tree.endFile()
        return fault
    }

    private mutating func run(_ input: UnsafeBufferPointer<UInt8>, _ tree: inout Tree) -> Fault? {
        var event = unsafe yaml_event_t()
        while true {
            guard unsafe yaml_parser_parse(parser, &event) != 0 else {
                return unsafe syntaxFault(input)
            }
            let type = unsafe event.type
            let fault = unsafe handle(&event, &tree)
            unsafe yaml_event_delete(&event)
            if let fault { return fault }
            if type == YAML_STREAM_END_EVENT { return nil }
        }
    }

    private mutating func handle(_ event: inout yaml_event_t, _ tree: inout Tree) -> Fault? {
        switch unsafe event.type {
        case YAML_DOCUMENT_START_EVENT:
            documents += 1
            return documents == 1
                ? nil : unsafe refusal(event, "a second document", "one document in a file")
        case YAML_ALIAS_EVENT:
            return unsafe refusal(event, "an alias", "the value written out")
        case YAML_MAPPING_START_EVENT:
            let start = unsafe event.data.mapping_start
            let fault = unsafe forbidden(event, anchor: start.anchor, tag: start.tag)
            return unsafe fault ?? begin(.mapping, event, &tree)
        case YAML_SEQUENCE_START_EVENT:
            let start = unsafe event.data.sequence_start
            let fault = unsafe forbidden(event, anchor: start.anchor, tag: start.tag)
            return unsafe fault ?? begin(.list, event, &tree)
        case YAML_MAPPING_END_EVENT, YAML_SEQUENCE_END_EVENT:
            if let closed = open.popLast() { tree.close(closed.id) }
            childEnded()
            return nil
        case YAML_SCALAR_EVENT:
            return unsafe scalar(event, &tree)
        default:
            return nil
        }
    }

    private mutating func begin(
        _ kind: Tree.Kind, _ event: yaml_event_t, _ tree: inout Tree
    ) -> Fault? {
        if open.last?.takesKey == true {
            return unsafe refusal(event, "a list or mapping as a key", "a plain name as a key")
        }
        guard open.count < Self.depthMax else {
            return Fault(
                code: .tooDeep, line: unsafe Int(event.start_mark.line) + 1,
                column: unsafe Int(event.start_mark.column) + 1,
                message: "lists and mappings are nested too deeply",
                expected: "at most \(Self.depthMax) levels")
        }
        let id = tree.append(unsafe node(kind, event))
        countChild(&tree)
        open.append(Open(id: id, isMapping: kind == .mapping, takesKey: kind == .mapping))
        return nil
    }

    private mutating func scalar(_ event: yaml_event_t, _ tree: inout Tree) -> Fault? {
        let scalar = unsafe event.data.scalar
        if let fault = unsafe forbidden(event, anchor: scalar.anchor, tag: scalar.tag) {
            return fault
        }
        var node = unsafe node(.scalar, event)
        let bytes = unsafe Span(_unsafeStart: scalar.value, count: scalar.length)
        node.count = UInt32(bytes.count)
        if unsafe scalar.style != YAML_PLAIN_SCALAR_STYLE { node.flags.insert(.quoted) }
        if open.last?.takesKey != true, bytes.indices.contains(where: { bytes[$0] == 0x24 }) {
            node.flags.insert(.variable)
        }
        node.start = tree.appendText(bytes)
        _ = tree.append(node)
        countChild(&tree)
        if let last = open.last, last.isMapping {
            open[open.count - 1].takesKey = !last.takesKey
        }
        return nil
    }

    /// Counts an item of the innermost list; a mapping counts its keys.
    private func countChild(_ tree: inout Tree) {
        guard let last = open.last, last.takesKey || !last.isMapping else { return }
        tree.countChild(of: last.id)
    }

    /// After a mapping's value comes a key.
    private mutating func childEnded() {
        guard let last = open.last, last.isMapping else { return }
        open[open.count - 1].takesKey = true
    }

    private func node(_ kind: Tree.Kind, _ event: yaml_event_t) -> Tree.Node {
        let mark = unsafe event.start_mark
        return Tree.Node(
            kind: kind, column: UInt16(clamping: mark.column &+ 1),
            line: UInt32(clamping: mark.line &+ 1), start: 0, count: 0)
    }

    private func forbidden(
        _ event: yaml_event_t, anchor: UnsafeMutablePointer<UInt8>?,
        tag: UnsafeMutablePointer<UInt8>?
    ) -> Fault? {
        if unsafe anchor != nil { return unsafe refusal(event, "an anchor", "the value alone") }
        if unsafe tag != nil { return unsafe refusal(event, "a tag", "the value alone") }
        return nil
    }

    private func refusal(_ event: yaml_event_t, _ what: String, _ expected: String) -> Fault {
        Fault(
            code: .yamlFeature, line: unsafe Int(event.start_mark.line) + 1,
            column: unsafe Int(event.start_mark.column) + 1,
            message: "\(what) is not taken here", expected: expected)
    }

    /// What libyaml found wrong. Its reader knows an offset, the other stages a mark.
    private func syntaxFault(_ input: UnsafeBufferPointer<UInt8>) -> Fault {
        var message = "not YAML"
        if let problem = unsafe parser.pointee.problem { message = unsafe String(cString: problem) }
        if let context = unsafe parser.pointee.context {
            message += unsafe " " + String(cString: context)
        }
        let mark = unsafe parser.pointee.problem_mark
        guard unsafe parser.pointee.error == YAML_READER_ERROR else {
            return Fault(
                code: .syntax, line: Int(mark.line) + 1, column: Int(mark.column) + 1,
                message: message)
        }
        let offset = unsafe min(parser.pointee.problem_offset, input.count)
        let before = unsafe input[..<offset]
        let line = unsafe before.count(where: { $0 == 0x0a }) + 1
        let start = unsafe (before.lastIndex(of: 0x0a) ?? -1) + 1
        return Fault(
            code: .syntax, line: line, column: offset - start + 1, message: message,
            expected: "UTF-8 text without control characters")
    }
}
