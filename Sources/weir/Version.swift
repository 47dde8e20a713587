internal import ArgumentParser
internal import Control
internal import Proxy

/// `weir version`.
struct Version: ParsableCommand {
    static let text = Product.version

    static let configuration = CommandConfiguration(
        abstract: "Prints the version, and that of the HTTP/2 library inside.")

    func run() {
        print("weir \(Self.text)")
        print(HTTP2Library.description)
    }
}
