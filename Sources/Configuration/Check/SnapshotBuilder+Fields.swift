internal import Rules
internal import Wire

/// Header fields and query parameters: conditions on them and changes to them.
extension SnapshotBuilder {
    static let valueBytesMax = 8 << 10
    static let editsMax = 64

    /// Conditions of `owner`, "routes" or "rules".
    func readHeaders(_ node: NodeID, of owner: String = "routes") -> [HeaderCondition] {
        checker.entries(node, "headers", max: Self.conditionsMax).compactMap { key, value in
            guard let name = fieldName(key) else { return nil }
            if let reason = ReservedNames.reason(matching: name) {
                checker.fail(
                    .reservedHeader, key,
                    "\(owner) cannot depend on \(checker.found(key)): \(reason.words)",
                    expected: reason.expected)
                return nil
            }
            return readCondition(value, isQuery: false)
                .map { HeaderCondition(name: name, predicate: $0) }
        }
    }

    func readQuery(_ node: NodeID) -> [QueryCondition] {
        checker.entries(node, "parameters", max: Self.conditionsMax).compactMap { key, value in
            let name = checker.tree.bytes(key)
            guard !name.isEmpty, name.allSatisfy({ $0.isQueryByte && $0 != 0x3d }) else {
                checker.fail(
                    .neverMatches, key, "no query has the parameter \(checker.found(key))",
                    expected: "its name as it is sent, percent-encoded where it must be")
                return nil
            }
            return readCondition(value, isQuery: true)
                .map { QueryCondition(name: Array(name), predicate: $0) }
        }
    }

    private func readCondition(_ node: NodeID, isQuery: Bool) -> StringPredicate? {
        guard checker.tree.kind(node) == .mapping else {
            return conditionText(node, .exact, isQuery).map { .exact($0) }
        }
        guard let fields = checker.fields(node, ConditionKey.self) else { return nil }
        let keys: [ConditionKey] = [.exact, .prefix, .suffix, .contains, .regex]
        for key in keys {
            guard let value = fields[key] else { continue }
            return predicate(value, key, isQuery)
        }
        if let value = fields[.present] { return isTrue(value, "present") ? .present : nil }
        if let value = fields[.absent] { return isTrue(value, "absent") ? .absent : nil }
        return nil
    }

    private func predicate(_ node: NodeID, _ key: ConditionKey, _ isQuery: Bool) -> StringPredicate?
    {
        guard let text = conditionText(node, key, isQuery) else { return nil }
        switch key {
        case .exact: return .exact(text)
        case .prefix: return .prefix(text)
        case .suffix: return .suffix(text)
        case .contains: return .contains(text)
        default: return regularExpression(node, text)
        }
    }

    private func regularExpression(_ node: NodeID, _ text: [UInt8]) -> StringPredicate? {
        do {
            return .regex(try RegularExpression(text))
        } catch {
            checker.fail(
                .badRegex, node,
                "not a regular expression: \(error.reason) at byte \(error.offset)",
                expected: "PCRE2's syntax, at most \(RegularExpression.patternBytesMax) bytes")
            return nil
        }
    }

    func isTrue(_ node: NodeID, _ key: String) -> Bool {
        guard let value = checker.boolean(node, key) else { return false }
        if !value {
            checker.fail(
                .badValue, node, "'\(key): false' is no condition",
                expected: "\(key): true, or its opposite")
        }
        return value
    }

    /// The text of a condition that some value can meet.
    private func conditionText(
        _ node: NodeID, _ key: ConditionKey, _ isQuery: Bool
    ) -> [UInt8]? {
        guard let bytes = checker.bytes(node, "a value to compare with") else { return nil }
        if bytes.isEmpty, key != .exact {
            checker.fail(
                .badValue, node, "an empty text to compare with", expected: "present: true")
            return nil
        }
        if key == .regex { return Array(bytes) }
        let startsBadly = key != .suffix && key != .contains && bytes.first?.isBlank == true
        let endsBadly = key != .prefix && key != .contains && bytes.last?.isBlank == true
        let isPossible =
            isQuery
            ? bytes.allSatisfy(\.isQueryByte)
            : bytes.allSatisfy(\.isValueByte) && !startsBadly && !endsBadly
        guard isPossible, bytes.count <= Self.valueBytesMax else {
            checker.fail(
                .neverMatches, node, "no value can be what this asks for",
                expected: isQuery
                    ? "the value as it is sent, percent-encoded where it must be"
                    : "no control characters, no space at either end, at most 8KiB")
            return nil
        }
        return Array(bytes)
    }

    /// A header's name in lower case.
    func fieldName(_ node: NodeID) -> [UInt8]? {
        guard let bytes = checker.bytes(node, "a header's name") else { return nil }
        let name = bytes.map(\.lowercased)
        let rest = name.first == 0x3a ? name.dropFirst() : name[...]
        guard !rest.isEmpty, name.count <= 256, rest.allSatisfy(\.isTokenByte) else {
            checker.fail(
                .badValue, node, "\(checker.found(node)) is not a header's name",
                expected: "letters, digits and '-', such as x-tenant")
            return nil
        }
        return name
    }

    /// A header's value as it may be sent.
    func fieldValue(_ node: NodeID, _ what: String) -> [UInt8]? {
        guard let bytes = checker.bytes(node, what) else { return nil }
        guard bytes.allSatisfy(\.isValueByte), bytes.first?.isBlank != true,
            bytes.last?.isBlank != true, bytes.count <= Self.valueBytesMax
        else {
            checker.fail(
                .badValue, node, "\(what) that cannot be sent",
                expected: "no control characters, no space at either end, at most 8KiB")
            return nil
        }
        return Array(bytes)
    }
}

/// `request_headers` and `response_headers`.
extension SnapshotBuilder {
    func readEdits(_ node: NodeID, ofRequests: Bool, isMethod: Bool) -> HeaderEdits? {
        guard let fields = checker.fields(node, EditsKey.self) else { return nil }
        let forbidsContentType = ofRequests || isMethod
        let add = fields[.add].map { readFields($0, forbidsContentType) } ?? []
        let set = fields[.set].map { readFields($0, forbidsContentType) } ?? []
        var remove: [[UInt8]] = []
        if let list = fields[.remove] {
            for item in checker.items(list, "headers", 1...Self.editsMax) {
                guard let name = editedName(item, forbidsContentType) else { continue }
                if remove.contains(name) {
                    checker.fail(
                        .duplicateEntry, item, "\(checker.found(item)) is listed twice",
                        expected: "each header once")
                } else if set.contains(where: { $0.name == name }) {
                    checker.fail(
                        .conflict, item, "\(checker.found(item)) is both set and removed",
                        expected: "one of them; set replaces what was there")
                } else {
                    remove.append(name)
                }
            }
        }
        if fields[.add] == nil, fields[.set] == nil, fields[.remove] == nil {
            checker.fail(
                .missingKey, node, "these header edits change nothing",
                expected: "one of add, set and remove")
        }
        return HeaderEdits(remove: remove, set: set, add: add)
    }

    private func readFields(_ node: NodeID, _ forbidsContentType: Bool) -> [HeaderEdits.Field] {
        checker.entries(node, "headers", max: Self.editsMax).compactMap { key, value in
            guard let name = editedName(key, forbidsContentType),
                let value = fieldValue(value, "a header's value")
            else { return nil }
            return HeaderEdits.Field(name: name, value: value)
        }
    }

    private func editedName(_ node: NodeID, _ forbidsContentType: Bool) -> [UInt8]? {
        guard let name = fieldName(node) else { return nil }
        guard let reason = ReservedNames.reason(editing: name, forbidsContentType) else {
            return name
        }
        checker.fail(
            .reservedHeader, node,
            "'\(checker.tree.string(node).quotable)' cannot be changed: \(reason.words)",
            expected: reason.expected)
        return nil
    }
}

/// Header names that belong to the protocol.
enum ReservedNames {
    struct Reason {
        let words: String
        let expected: String
    }

    /// Why no route may depend on a header, if none may; `name` is in lower case.
    static func reason(matching name: [UInt8]) -> Reason? {
        if let reason = common(name) { return reason }
        if name.suffix(4).elementsEqual("-bin".utf8) {
            return Reason(
                words: "binary metadata has several spellings of one value",
                expected: "a header with text")
        }
        return nil
    }

    /// Why a header may not be changed, if it may not.
    static func reason(editing name: [UInt8], _ forbidsContentType: Bool) -> Reason? {
        if let reason = common(name) { return reason }
        if name.elementsEqual("content-length".utf8) {
            return Reason(words: "it tells the body's length", expected: "another header")
        }
        if name.elementsEqual("x-forwarded-client-cert".utf8) {
            return Reason(
                words: "servers believe it to be what the client has proven",
                expected: "forward_client in the listener's tls, or another header")
        }
        if forbidsContentType, name.elementsEqual("content-type".utf8) {
            return Reason(
                words: "it decides whether a request is gRPC", expected: "another header")
        }
        return nil
    }

    private static func common(_ name: [UInt8]) -> Reason? {
        if name.first == 0x3a {
            return Reason(
                words: "it is a pseudo-header",
                expected: "hostnames, path or http_method in a match; rewrite for changes")
        }
        if name.starts(with: "grpc-".utf8) {
            return Reason(words: "gRPC reserves grpc- names", expected: "a header of your own")
        }
        if name.elementsEqual("host".utf8) {
            return Reason(
                words: "HTTP/2 carries the host in :authority",
                expected: "hostnames in a route; rewrite: {hostname} for changes")
        }
        let isHopByHop = hopByHop.contains { name.elementsEqual($0.utf8) }
        if isHopByHop || name.starts(with: "proxy-".utf8) {
            return Reason(
                words: "it concerns one connection and is never forwarded",
                expected: "a header that is forwarded")
        }
        return nil
    }

    private static let hopByHop = [
        "connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer",
        "http2-settings",
    ]
}

extension UInt8 {
    /// RFC 9110, 5.6.2.
    var isTokenByte: Bool {
        isNameByte || "!#$%&'*+-.^`|~".utf8.contains(self)
    }

    /// RFC 9110, 5.5, with bytes beyond ASCII.
    var isValueByte: Bool { (self >= 0x20 && self != 0x7f) || self == 0x09 }
    var isBlank: Bool { self == 0x20 || self == 0x09 }
    /// What a parameter of a query may hold.
    var isQueryByte: Bool { self > 0x20 && self < 0x7f && self != 0x23 && self != 0x26 }
}

/// References by name.
extension SnapshotBuilder {
    /// Positions of the things that a list names, each once.
    ///
    /// - what: one of them, in words. - known: what all of them are called.
    func readReferences(
        _ node: NodeID, _ what: String, max: Int, known: [String], _ find: (String) -> Int?
    ) -> [Int] {
        var positions: [Int] = []
        for item in checker.items(node, "\(what)s", 1...max) {
            guard let name = checker.name(item, "a \(what)'s name") else { continue }
            guard let position = find(name) else {
                checker.failUnknown(
                    .unknownReference, item, "no \(what) is called", known: known)
                continue
            }
            if positions.contains(position) {
                checker.fail(
                    .duplicateEntry, item, "the \(what) '\(name)' is listed twice",
                    expected: "each \(what) once")
            } else {
                positions.append(position)
            }
        }
        return positions
    }

    /// The position of the upstream that a value names.
    func readUpstream(_ node: NodeID) -> Int? {
        guard let name = checker.name(node, "an upstream's name") else { return nil }
        if let position = upstreamIndex[name] { return position }
        checker.failUnknown(
            .unknownReference, node, "no upstream is called", known: upstreams.map(\.name))
        return nil
    }
}
