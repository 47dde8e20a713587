import Configuration
import Rules
import Wire

/// A configuration, whatever it is, is taken or refused with reasons that have their place in it;
/// read twice it is the same; what is taken answers every question that `weir explain` may ask, and
/// its outline reads back.
enum ConfigurationProperty {
    /// Longer ones are no other ground, and slow.
    private static let bytesMax = 20_000
    /// Bytes of what YAML takes for the end of a line: LF, CR, NEL, LS and PS.
    private static let lineEnds: Set<UInt8> = [0x0a, 0x0d, 0x85, 0xa8, 0xa9]
    private static let methods = ["orders.v1.Orders/Get", "a.B/C"]
    private static let paths = ["/", "/api/x?version=2", "/a//b"]

    static func fault(_ bytes: [UInt8]) -> String? {
        let text = Array(bytes.prefix(bytesMax))
        let sources = [Source(name: "input", bytes: text)]
        let result = load(sources)
        let hasErrors = result.diagnostics.contains { $0.severity == .error }
        guard (result.snapshot == nil) == hasErrors else { return "is refused without a reason" }
        let lines = text.count(where: lineEnds.contains) + 1
        for diagnostic in result.diagnostics {
            guard !diagnostic.message.isEmpty, diagnostic.file == "input",
                diagnostic.line <= lines + 1
            else { return "\(diagnostic) is nowhere in it" }
            let isPlain = "\(diagnostic)".unicodeScalars.allSatisfy { $0.value >= 0x20 }
            guard isPlain else { return "its fault breaks the line: \(diagnostic)" }
        }
        let again = load(sources)
        guard again.diagnostics == result.diagnostics,
            again.snapshot?.revision == result.snapshot?.revision
        else { return "is read in two ways" }
        guard let snapshot = result.snapshot else { return nil }
        return outlineFault(sources) ?? questionFault(snapshot)
    }

    private static func load(_ sources: [Source]) -> LoadResult {
        let files = Materials.Source(
            read: { _ in .failure(Materials.Failure("no such file")) },
            isWorldReadable: { _ in false }, unixTime: { 1_800_000_000 })
        return ConfigurationLoader.load(
            sources: sources, environment: ["A": "a"], materials: Materials(files))
    }

    private static func outlineFault(_ sources: [Source]) -> String? {
        guard let outline = Outline(sources, environment: ["A": "a"]),
            let json = Outline.json(sources, environment: ["A": "a"])
        else { return "has no outline" }
        return Outline(json: json.text()) == outline ? nil : "its outline does not read back"
    }

    private static func questionFault(_ snapshot: Snapshot) -> String? {
        for listener in snapshot.listeners.prefix(4) {
            var questions = methods.map { method in
                var inquiry = Inquiry()
                inquiry.method = method
                return inquiry
            }
            questions += paths.map { path in
                var inquiry = Inquiry()
                inquiry.path = path
                return inquiry
            }
            for question in questions {
                var question = question
                question.listener = listener.name
                question.headers = ["x-beta: on", "x-tenant: eu-1"]
                let answer = try? question.explanation(
                    in: snapshot, keys: [:], at: 1_800_000_000)
                guard let answer else { return "there is no answer about \(listener.name)" }
                guard !answer.lines.isEmpty else { return "an answer has no words" }
                guard answer.verdict != .forwarded || answer.route != nil else {
                    return "something is forwarded by no route"
                }
            }
        }
        return nil
    }
}
