internal import ArgumentParser
internal import Control
internal import Identity

/// Why a command ends: where, what, and its exit status.
struct CommandFailure: Error {
    let place: String
    let words: String
    let status: ExitCode

    init(_ place: String, _ words: String, _ status: ExitCode) {
        self.place = place
        self.words = words
        self.status = status
    }
}

/// Runs a command; a failure is said on standard error.
func reporting(_ run: () throws -> Void) throws {
    do {
        try run()
    } catch let failure as CommandFailure {
        StandardError.write("\(failure.place): \(failure.words)\n")
        throw failure.status
    }
}

/// Says which file or directory it is about.
func about<Value>(
    _ place: String, _ make: () throws(CertificateError) -> Value
) throws(CommandFailure) -> Value {
    do throws(CertificateError) {
        return try make()
    } catch {
        throw CommandFailure(place, error.description, .no)
    }
}

func onFiles<Value>(
    _ work: () throws(AtomicFile.Failure) -> Value
) throws(CommandFailure) -> Value {
    do throws(AtomicFile.Failure) {
        return try work()
    } catch {
        throw CommandFailure(error.path, error.words, .cannot)
    }
}

func readFile(_ path: String, bytesMax: Int = PEM.bytesMax) throws(CommandFailure) -> [UInt8] {
    try onFiles { () throws(AtomicFile.Failure) in
        try AtomicFile.read(path, bytesMax: bytesMax)
    }
}

func writeFile(
    _ bytes: [UInt8], _ path: String, _ access: AtomicFile.Access
) throws(CommandFailure) {
    try onFiles { () throws(AtomicFile.Failure) in
        try AtomicFile.write(bytes, to: path, access)
    }
}
