internal import ArgumentParser
internal import Control

/// `weir version`.
struct Version: ParsableCommand {
    static let text = Product.version

    static let configuration = CommandConfiguration(abstract: "Prints the version.")

    func run() { print("weir \(Self.text)") }
}
