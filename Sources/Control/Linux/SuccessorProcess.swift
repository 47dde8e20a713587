internal import CLinux
internal import Glibc

/// A process that this one has started to be succeeded by.
final class SuccessorProcess {
    let processID: Int32
    private let watch: ProcessWatch

    /// Readable once it has ended.
    var descriptor: Int32 { watch.descriptor }

    /// Starts a program; nil where that is not possible. Of this process's descriptors it has the
    /// standard ones alone, as all others are closed by `exec`.
    init?(program: String, arguments: [String], environment: [String: String]) {
        let words = [program] + arguments
        let variables = environment.map { "\($0.key)=\($0.value)" }
        var process = pid_t()
        let result = unsafe Self.withList(of: words) { argv in
            unsafe Self.withList(of: variables) { envp in
                unsafe posix_spawn(&process, program, nil, nil, argv, envp)
            }
        }
        guard result == 0, let watch = ProcessWatch(process) else { return nil }
        processID = process
        self.watch = watch
    }

    /// How it has ended, in words; nil while it runs.
    func end() -> String? {
        guard watch.hasEnded else { return nil }
        var status: Int32 = 0
        guard unsafe waitpid(processID, &status, Int32(WNOHANG)) == processID else { return nil }
        let signal = status & 0x7f
        return signal == 0 ? "status \((status >> 8) & 0xff)" : "signal \(signal)"
    }

    /// Calls `body` with texts as C has lists of them.
    private static func withList(
        of texts: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Int32
    ) -> Int32 {
        let list = unsafe texts.map { unsafe strdup($0) } + [nil]
        defer { unsafe list.forEach { unsafe free($0) } }
        return unsafe body(list)
    }
}

/// The program that runs.
public enum OwnProgram {
    private static let pathBytesMax = 4_096

    /// Its file, where it was when this is asked: a newer one may take the place.
    public static var path: String? {
        var bytes = [CChar](repeating: 0, count: pathBytesMax)
        let count = unsafe readlink("/proc/self/exe", &bytes, bytes.count)
        guard count > 0, count < bytes.count else { return nil }
        return String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
