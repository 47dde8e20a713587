internal import Glibc

/// The files of this repository, read with libc alone: a boundary file.
struct RepositoryTree {
    let root: String
    /// Paths relative to `root`, sorted. Build products and other hidden folders are left out.
    let paths: [String]

    /// The repository this file was compiled from.
    static let current = RepositoryTree(root: rootOfThisFile())

    init(root: String) {
        self.root = root
        paths = Self.walk(root, under: "").sorted()
    }

    func paths(under folder: String = "", endingWith suffixes: String...) -> [String] {
        paths.filter { path in
            path.hasPrefix(folder) && suffixes.contains { path.hasSuffix($0) }
        }
    }

    /// The bytes of a file. What cannot be read is an empty file, and every rule holds of that, so
    /// it is reported here.
    func bytes(of path: String) throws(UnreadableFile) -> [UInt8] {
        guard let file = unsafe fopen(root + "/" + path, "rb") else {
            throw UnreadableFile(path: path)
        }
        defer { unsafe fclose(file) }
        var all: [UInt8] = []
        while true {
            let chunk = unsafe [UInt8](unsafeUninitializedCapacity: 64 << 10) { buffer, count in
                count = unsafe fread(buffer.baseAddress, 1, buffer.count, file)
            }
            if chunk.isEmpty { return all }
            all += chunk
        }
    }

    func exists(_ path: String) -> Bool { unsafe access(root + "/" + path, F_OK) == 0 }

    struct UnreadableFile: Error, CustomStringConvertible {
        let path: String
        var description: String { "\(path): cannot be read" }
    }

    private static func rootOfThisFile(_ path: String = #filePath) -> String {
        path.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
            .joined(separator: "/")
    }

    private static func walk(_ root: String, under folder: String) -> [String] {
        guard let stream = unsafe opendir(folder.isEmpty ? root : root + "/" + folder) else {
            return []
        }
        defer { unsafe closedir(stream) }
        var found: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { start in
                unsafe start.withMemoryRebound(to: CChar.self, capacity: 256) {
                    unsafe String(cString: $0)
                }
            }
            if name == "." || name == ".." || isProduct(name) { continue }
            let path = folder.isEmpty ? name : folder + "/" + name
            if unsafe entry.pointee.d_type == UInt8(DT_DIR) {
                found += walk(root, under: path)
            } else {
                found.append(path)
            }
        }
        return found
    }

    private static func isProduct(_ name: String) -> Bool {
        name == "__pycache__"
            || name.hasPrefix(".") && !["..", ".ci", ".swift-format"].contains(name)
    }
}
