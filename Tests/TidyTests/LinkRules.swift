/// Links between the pages of the repository lead somewhere.
enum LinkRules {
    static func findings(in file: SourceFile, exists: (String) -> Bool) -> [Finding] {
        guard file.path.hasSuffix(".md") else { return [] }
        let folder = file.path.split(separator: "/").dropLast()
        return file.lines.indices.flatMap { index in
            targets(in: file.lines[index]).compactMap { target -> Finding? in
                if exists(resolve(target, from: folder)) { return nil }
                return Finding(
                    path: file.path, line: index + 1,
                    message: "a link to \(target) is banned, use a file that exists")
            }
        }
    }

    /// What `[…](here)` names in a line, without anchors, other sites and pure anchors.
    static func targets(in line: String) -> [String] {
        var targets: [String] = []
        var rest = line[...]
        while let start = rest.firstRange(of: "](") {
            rest = rest[start.upperBound...]
            guard let end = rest.firstIndex(of: ")") else { break }
            let target = rest[..<end].split(separator: "#", omittingEmptySubsequences: false)[0]
            if !target.isEmpty, !target.contains("://"), !target.hasPrefix("mailto:") {
                targets.append(String(target))
            }
        }
        return targets
    }

    private static func resolve(_ target: String, from folder: ArraySlice<Substring>) -> String {
        var parts = target.hasPrefix("/") ? [] : Array(folder)
        for part in target.split(separator: "/") where part != "." {
            if part == "..", !parts.isEmpty { parts.removeLast() } else { parts.append(part) }
        }
        return parts.joined(separator: "/")
    }
}
