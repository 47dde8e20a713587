/// Who may import whom. The arrows of the layout point one way.
enum ImportRules {
    private static let pure: Set<String> = ["Wire", "Identity", "Rules", "Configuration"]

    /// For each of our targets, which of our targets its files may import.
    static let ours: [String: Set<String>] = [
        "Wire": [],
        "Identity": ["Wire"],
        "Rules": ["Wire", "Identity"],
        "Configuration": ["Wire", "Identity", "Rules"],
        "Proxy": pure,
        "Control": pure.union(["Proxy", "Peers"]),
        "Peers": ["Wire"],
        "weir": pure.union(["Proxy", "Control", "Peers"]),
    ]

    /// For each of our targets, what its files may import that is not ours: Swift packages and the
    /// modules of the toolchain. C libraries and libc are for boundary files only.
    static let foreign: [String: Set<String>] = [
        "Wire": [],
        "Identity": ["Synchronization"],
        "Rules": ["Synchronization"],
        "Configuration": ["Synchronization"],
        "Proxy": ["Synchronization"],
        "Control": ["Synchronization", "Logging", "FoundationEssentials"],
        "Peers": ["Synchronization"],
        "weir": ["Synchronization", "ArgumentParser", "Logging"],
    ]

    static func findings(in file: SourceFile) -> [Finding] {
        let tokens = file.tokens
        return tokens.indices.compactMap { index in
            guard tokens[index].text == "import", index + 1 < tokens.count else { return nil }
            guard let message = message(importing: moduleName(after: index, in: tokens), in: file)
            else { return nil }
            return Finding(path: file.path, line: tokens[index].line, message: message)
        }
    }

    /// Skips the kind in `import struct Wire.Path`.
    private static func moduleName(after index: Int, in tokens: [Token]) -> String {
        let kinds: Set = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
        let isKind = kinds.contains(tokens[index + 1].text) && index + 2 < tokens.count
        return tokens[index + (isKind ? 2 : 1)].text
    }

    private static func message(importing module: String, in file: SourceFile) -> String? {
        if module.hasPrefix("Foundation"),
            module != "FoundationEssentials" || file.target == "Proxy"
        {
            return "import \(module) is banned, use the standard library"
        }
        if module == "Glibc" || RepositoryTree.current.exists("Sources/\(module)/module.modulemap")
        {
            if file.isListed(in: BoundaryFiles.all) { return nil }
            return "import \(module) is banned, use a boundary file (Tests/TidyTests/BoundaryFiles)"
        }
        guard file.path.hasPrefix("Sources/") else { return nil }
        guard let allowed = ours[file.target], let others = foreign[file.target] else {
            return "a file outside the known targets is banned, use ImportRules to name its target"
        }
        if allowed.contains(module) || others.contains(module) { return nil }
        let names = allowed.union(others).sorted().joined(separator: ", ")
        return "import \(module) in \(file.target) is banned, use only: \(names)"
    }
}
