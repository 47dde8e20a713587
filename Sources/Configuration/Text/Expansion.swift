/// `${VAR}`, `${VAR:-text}` and `$$` in scalars, replaced after parsing: a variable's value can
/// never become keys or lists. Any other `$` stands for itself, as regular expressions need it.
struct Expansion {
    /// Of one scalar after expansion, and of all expanded scalars together.
    static let scalarBytesMax = 64 << 10
    static let totalBytesMax = 16 << 20

    let environment: [String: String]
    private(set) var digest: Digest
    private(set) var diagnostics: [Diagnostic] = []
    private var total = 0

    init(environment: [String: String], digest: Digest) {
        self.environment = environment
        self.digest = digest
    }

    /// Expands every scalar of `tree` that is not a key.
    mutating func expand(_ tree: inout Tree) {
        for index in tree.nodes.indices where tree.nodes[index].flags.contains(.variable) {
            let id = UInt32(index)
            var fault: Fault?
            let expanded = expand(Array(tree.bytes(id)), &fault)
            total += expanded.count
            if total > Self.totalBytesMax {
                fault =
                    fault
                    ?? Fault(
                        code: .tooLarge, message: "variables expand to more than 16 MiB",
                        expected: "shorter values")
            }
            if let fault {
                diagnostics.append(
                    Diagnostic(
                        fault.code, tree.place(id), fault.message, expected: fault.expected))
                tree.markFaulty(id)
                if total > Self.totalBytesMax { return }
            } else {
                tree.replace(id, with: expanded)
            }
        }
    }

    private struct Fault {
        let code: DiagnosticCode
        let message: String
        let expected: String
    }

    private mutating func expand(_ text: [UInt8], _ fault: inout Fault?) -> [UInt8] {
        var output: [UInt8] = []
        var index = 0
        while index < text.count {
            let next = index + 1 < text.count ? text[index + 1] : 0
            if text[index] != 0x24 || (next != 0x24 && next != 0x7b) {
                output.append(text[index])
                index += 1
            } else if next == 0x24 {
                output.append(0x24)
                index += 2
            } else if let end = text[index...].firstIndex(of: 0x7d) {
                output += value(of: text[(index + 2)..<end], &fault)
                index = end + 1
            } else {
                fault = Fault(
                    code: .badVariable, message: "a variable without its closing brace",
                    expected: "${NAME}, ${NAME:-text}, or $$ for a dollar sign")
                return output
            }
            if output.count > Self.scalarBytesMax {
                fault = Fault(
                    code: .tooLarge, message: "variables make this text longer than 64 KiB",
                    expected: "shorter values")
                return []
            }
        }
        return output
    }

    /// The value of what stands between the braces.
    private mutating func value(of inner: ArraySlice<UInt8>, _ fault: inout Fault?) -> [UInt8] {
        let nameEnd = inner.firstIndex(where: { !$0.isNameByte }) ?? inner.endIndex
        let name = String(decoding: inner[..<nameEnd], as: UTF8.self)
        let rest = inner[nameEnd...]
        let isName = inner.first.map { $0.isNameByte && !$0.isDigit } ?? false
        guard isName, rest.isEmpty || rest.starts(with: [0x3a, 0x2d]) else {
            fault = Fault(
                code: .badVariable,
                message: "'${\(String(decoding: inner, as: UTF8.self))}' is not a variable",
                expected: "${NAME}, ${NAME:-text}, or $$ for a dollar sign")
            return []
        }
        let value = environment[name]
        digest.add(name.utf8)
        digest.add((value ?? "").utf8)
        if let value, rest.isEmpty || !value.isEmpty { return Array(value.utf8) }
        if !rest.isEmpty { return Array(rest.dropFirst(2)) }
        fault = Fault(
            code: .unsetVariable, message: "the variable '\(name)' is not set",
            expected: "it in the environment, or ${\(name):-text}")
        return []
    }
}

/// FNV-1a with 64 bits: it tells revisions apart, it does not protect them.
struct Digest: Sendable {
    private var state: UInt64 = 0xcbf2_9ce4_8422_2325

    mutating func add(_ bytes: some Sequence<UInt8>) {
        var state = state
        for byte in bytes { state = (state ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        // A byte that is no part of UTF-8 ends each piece, so that "ab", "c" is not "a", "bc".
        self.state = (state ^ 0xff) &* 0x0000_0100_0000_01b3
    }

    /// 16 hexadecimal digits.
    var text: String {
        let digits = String(state, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

extension UInt8 {
    var isDigit: Bool { self >= 0x30 && self <= 0x39 }
    var isLetter: Bool { (self | 0x20) >= 0x61 && (self | 0x20) <= 0x7a }
    /// A letter, a digit or `_`.
    var isNameByte: Bool { isLetter || isDigit || self == 0x5f }
    var lowercased: UInt8 { self >= 0x41 && self <= 0x5a ? self | 0x20 : self }
}
