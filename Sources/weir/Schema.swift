internal import ArgumentParser
internal import Configuration

/// `weir schema`: the configuration's language for editors.
struct Schema: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints the configuration's JSON Schema, for editors.",
        discussion: "Names, addresses and what keys say together only `weir check` can check.")

    @Flag(help: "Print the tables of docs/configuration.md instead.")
    var markdown = false

    func run() {
        guard markdown else {
            print(LanguageSchema.text, terminator: "")
            return
        }
        for (name, table) in LanguageReference.tables { print("### \(name)\n\n\(table)") }
    }
}
