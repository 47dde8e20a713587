/// Scalars by what is expected of them. YAML's own guesses (`on`, `1_000`, dates) play no part.
extension Checker {
    /// Any text; nothing at all only if it was quoted.
    func text(_ node: NodeID, _ what: String) -> String? {
        bytes(node, what).map { String(decoding: $0, as: UTF8.self) }
    }

    func bytes(_ node: NodeID, _ what: String) -> ArraySlice<UInt8>? {
        guard tree.kind(node) == .scalar else {
            fail(.wrongType, node, "\(found(node)) where \(what) belongs", expected: "text")
            return nil
        }
        let flags = tree.flags(node)
        if flags.contains(.faulty) { return nil }
        guard tree.count(node) > 0 || !flags.isDisjoint(with: [.quoted, .expanded]) else {
            fail(.wrongType, node, "no value where \(what) belongs", expected: what)
            return nil
        }
        return tree.bytes(node)
    }

    func name(_ node: NodeID, _ what: String) -> String? {
        guard let bytes = bytes(node, what) else { return nil }
        let isName =
            bytes.count <= 100 && bytes.first.map { $0.isLetter || $0.isDigit } ?? false
            && bytes.allSatisfy { $0.isNameByte || $0 == 0x2d || $0 == 0x2e }
        guard isName else {
            fail(
                .badValue, node, "\(found(node)) is not a name",
                expected: "up to 100 letters, digits, '.', '_' and '-', a letter or digit first")
            return nil
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// One of `choices`: its position.
    func choice(_ node: NodeID, _ what: String, _ choices: [String]) -> Int? {
        guard let bytes = bytes(node, what) else { return nil }
        if let index = choices.firstIndex(where: { bytes.elementsEqual($0.utf8) }) { return index }
        failUnknown(.badValue, node, "\(what) cannot be", known: choices)
        return nil
    }

    func boolean(_ node: NodeID, _ what: String) -> Bool? {
        guard let bytes = bytes(node, what) else { return nil }
        if isBare(node) {
            if bytes.elementsEqual("true".utf8) { return true }
            if bytes.elementsEqual("false".utf8) { return false }
        }
        fail(
            .badValue, node, "\(found(node)) where \(what) belongs",
            expected: "true or false, without quotes")
        return nil
    }

    func count(_ node: NodeID, _ what: String, _ range: ClosedRange<Int64>) -> Int64? {
        guard let bytes = bytes(node, what) else { return nil }
        let isNegative = bytes.first == 0x2d
        guard isBare(node), let number = Quantity.digits(isNegative ? bytes.dropFirst() : bytes)
        else {
            fail(
                .badValue, node, "\(found(node)) where \(what) belongs",
                expected: "a whole number in digits, without quotes")
            return nil
        }
        return inRange(isNegative ? -number : number, node, what, (range, { "\($0)" }))
    }

    func size(_ node: NodeID, _ what: String, _ range: ClosedRange<Int64>) -> Int64? {
        guard let bytes = bytes(node, what) else { return nil }
        guard let number = Size.parse(bytes) else {
            fail(.badValue, node, "\(found(node)) where \(what) belongs", expected: Size.words)
            return nil
        }
        return inRange(number, node, what, (range, Size.describe))
    }

    /// A share as so many of 2^32.
    func percent(_ node: NodeID, _ what: String) -> UInt64? {
        guard let bytes = bytes(node, what) else { return nil }
        guard let number = Percent.parse(bytes) else {
            fail(.badValue, node, "\(found(node)) where \(what) belongs", expected: Percent.words)
            return nil
        }
        let bounds = (range: Percent.range, words: Percent.describe)
        return inRange(number, node, what, bounds).map { (UInt64($0) << 32) / 10_000 }
    }

    /// Nanoseconds; 0 for `off`, where that is allowed.
    func duration(
        _ node: NodeID, _ what: String, _ range: ClosedRange<Int64> = Duration.range,
        offAllowed: Bool = true
    ) -> Int64? {
        guard let bytes = bytes(node, what) else { return nil }
        if offAllowed, bytes.elementsEqual("off".utf8) { return 0 }
        guard let number = Duration.parse(bytes) else {
            fail(
                .badValue, node, "\(found(node)) where \(what) belongs",
                expected: offAllowed ? Duration.words + ", or off" : Duration.words)
            return nil
        }
        return inRange(number, node, what, (range, Duration.describe))
    }

    private func inRange(
        _ number: Int64, _ node: NodeID, _ what: String,
        _ bounds: (range: ClosedRange<Int64>, words: (Int64) -> String)
    ) -> Int64? {
        if bounds.range.contains(number) { return number }
        let low = bounds.words(bounds.range.lowerBound)
        let high = bounds.words(bounds.range.upperBound)
        fail(
            .outOfRange, node, "\(what) cannot be \(tree.string(node).quotable)",
            expected: "\(low) to \(high)")
        return nil
    }

    /// Not quoted, unless its text came from a variable.
    private func isBare(_ node: NodeID) -> Bool {
        let flags = tree.flags(node)
        return !flags.contains(.quoted) || flags.contains(.expanded)
    }
}

/// Tables of options.
extension Checker {
    func options<Root: OptionRoot>(
        _ node: NodeID?, _ table: [Option<Root>], _ object: ObjectTerms
    ) -> Root {
        var root = Root()
        guard let node else { return root }
        var given: Set<Int> = []
        _ = readEntries(of: node, object) { index, value in
            guard given.insert(index).inserted else { return false }
            let option = table[index]
            if let number = self.option(value, option) { option.apply(&root, number) }
            return true
        }
        return root
    }

    private func option<Root>(_ node: NodeID, _ option: Option<Root>) -> Int64? {
        switch option.unit {
        case .count: count(node, option.key, option.range)
        case .size: size(node, option.key, option.range)
        case .duration(let offAllowed):
            duration(node, option.key, option.range, offAllowed: offAllowed)
        }
    }
}
