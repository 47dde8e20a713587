/// What was probably meant by a name that is not known.
enum Suggestion {
    /// Beyond this many candidates or bytes nobody waits for a suggestion.
    private static let candidatesMax = 2_000
    private static let bytesMax = 100

    /// The candidate with the fewest edits, if these are at most a third of its length.
    static func nearest(to name: String, among candidates: [String]) -> String? {
        let name = Array(name.utf8)
        guard name.count <= bytesMax else { return nil }
        var best: (distance: Int, candidate: String)?
        for candidate in candidates.prefix(candidatesMax) {
            let count = candidate.utf8.count
            let limit = min(max(count / 3, 1), (best?.distance ?? .max) - 1)
            guard count <= bytesMax, abs(count - name.count) <= limit else { continue }
            let distance = distance(name, Array(candidate.utf8))
            if distance <= limit { best = (distance, candidate) }
        }
        return best?.candidate
    }

    /// The names one after the other, the first dozen of many.
    static func list(_ names: [String]) -> String? {
        guard names.count > 1 else { return names.first }
        let shown = names.prefix(24)
        let more = names.count - shown.count
        if more > 0 { return shown.joined(separator: ", ") + " or one of \(more) more" }
        return names.dropLast().joined(separator: ", ") + " or " + names[names.count - 1]
    }

    /// Insertions, removals, replacements and swaps of neighbours that make one from the other.
    static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var beforeLast = [Int](repeating: 0, count: b.count + 1)
        var last = Array(0...b.count)
        for (row, x) in a.enumerated() {
            var current = [row + 1]
            current.reserveCapacity(b.count + 1)
            for (column, y) in b.enumerated() {
                var cost = min(last[column + 1], current[column]) + 1
                cost = min(cost, last[column] + (x == y ? 0 : 1))
                if row > 0, column > 0, x == b[column - 1], a[row - 1] == y {
                    cost = min(cost, beforeLast[column - 1] + 1)
                }
                current.append(cost)
            }
            beforeLast = last
            last = current
        }
        return last[b.count]
    }
}

extension String {
    var withArticle: String { ("aeiou".contains(first ?? "x") ? "an " : "a ") + self }

    /// Fit for a message: at most 80 characters, control characters replaced.
    var quotable: String {
        var text = ""
        for (index, scalar) in unicodeScalars.enumerated() {
            if index == 80 { return text + "..." }
            let isControl = scalar.value < 0x20 || (scalar.value >= 0x7f && scalar.value < 0xa0)
            text.unicodeScalars.append(isControl ? "\u{fffd}" : scalar)
        }
        return text
    }
}
