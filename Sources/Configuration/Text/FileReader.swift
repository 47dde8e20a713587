internal import Glibc

/// The only file that reads files: whole, and no more than a limit.
enum FileReader {
    enum Entry: Equatable { case file, directory }

    /// What a path names, or why that cannot be told.
    static func entry(_ path: String) -> Result<Entry, ReadError> {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return .failure(.last) }
        return .success(status.st_mode & S_IFMT == S_IFDIR ? .directory : .file)
    }

    /// The names in a directory that end in `.yaml`, sorted by bytes. Hidden ones are left out:
    /// editors and Kubernetes keep their own there.
    static func yamlFiles(in directory: String) -> Result<[String], ReadError> {
        guard let stream = unsafe opendir(directory) else { return .failure(.last) }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { raw in
                unsafe String(decoding: raw.prefix(while: { $0 != 0 }), as: UTF8.self)
            }
            if name.hasSuffix(".yaml"), !name.hasPrefix(".") { names.append(name) }
        }
        return .success(names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
    }

    /// True where everybody on the machine may read a file.
    static func isWorldReadable(_ path: String) -> Bool {
        var status = stat()
        return unsafe stat(path, &status) == 0 && status.st_mode & S_IROTH != 0
    }

    static func unixTime() -> Int64 { Int64(time(nil)) }

    /// A file's bytes; one byte more than `limit` at most, so that the caller can tell.
    static func read(_ path: String, limit: Int) -> Result<[UInt8], ReadError> {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return .failure(.last) }
        defer { close(descriptor) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { return .failure(.last) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(min(max(Int(status.st_size), 0), limit) + 1)
        while bytes.count <= limit {
            let wanted = min(1 << 20, limit + 1 - bytes.count)
            var got = 0
            bytes.append(addingCapacity: wanted) { output in
                unsafe output.withUnsafeMutableBufferPointer { buffer, initialized in
                    unsafe got = Glibc.read(descriptor, buffer.baseAddress, wanted)
                    initialized = max(got, 0)
                }
            }
            if got == 0 { break }
            if got < 0 && errno != EINTR { return .failure(.last) }
        }
        return .success(bytes)
    }
}

/// Why the system refused a file.
struct ReadError: Error, Equatable {
    let message: String

    static var last: ReadError {
        let code = errno
        guard let text = unsafe strerror(code) else { return ReadError(message: "error \(code)") }
        return ReadError(message: unsafe String(cString: text))
    }
}
