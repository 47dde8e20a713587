internal import ArgumentParser
internal import Configuration

/// `weir schema`: the configuration's language for editors.
struct Schema: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints the configuration's JSON Schema, for editors.",
        discussion: "Names, addresses and what keys say together only `weir check` can check.")

    func run() { print(LanguageSchema.text, terminator: "") }
}
