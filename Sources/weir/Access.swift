internal import ArgumentParser
internal import Configuration
internal import Wire

/// `weir access`: questions about access rules.
struct Access: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Tells who may call what.", subcommands: [Matrix.self])

    /// `weir access matrix`.
    struct Matrix: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints every declared method and who may call it.",
            discussion: """
                Declared is what routes and access rules name, and what protobuf descriptors have: \
                protoc --include_imports --descriptor_set_out=FILE. After them come the methods \
                that nothing guards.
                Exit status: 0 everything is guarded, 1 something is not or the configuration is \
                invalid, 2 a file could not be read.
                """)

        @OptionGroup var configuration: ConfigurationOption

        @Option(help: "A file with a set of protobuf descriptors; may be repeated.")
        var descriptors: [String] = []

        func run() throws {
            let snapshot = try configuration.load()
            var methods: [String] = []
            for file in descriptors { methods += try read(file).methods }
            let matrix = AccessMatrix(snapshot, methods: methods)
            for line in matrix.lines { print(line) }
            guard !matrix.unguarded.isEmpty else { return }
            print("nothing guards:")
            for method in matrix.unguarded { print("  " + method) }
            throw ExitCode.no
        }

        private func read(_ file: String) throws -> DescriptorSet {
            do {
                return try WholeFile.descriptors(file)
            } catch {
                StandardError.write("\(file): \(error.words)\n")
                throw ExitCode.cannot
            }
        }
    }
}
