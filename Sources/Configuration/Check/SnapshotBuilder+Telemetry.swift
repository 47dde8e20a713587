internal import Rules
internal import Wire

/// What is told of the process and its exchanges.
extension SnapshotBuilder {
    /// With series of their own.
    static let declaredMethodsMax = 10_000

    func readAccessLog(_ node: NodeID) -> AccessLogTerms? {
        guard let fields = checker.fields(node, AccessLogKey.self) else { return nil }
        let target = fields[.file].flatMap(readTarget)
        var terms = AccessLogTerms(target: target ?? .standardOutput)
        if let node = fields[.format] {
            terms.format = checker.choice(node, "format", ["json", "text"]) == 1 ? .text : .json
        }
        let only = fields[.only].flatMap { checker.choice($0, "only", ["all", "errors"]) }
        if let node = fields[.sample] {
            if let share = checker.percent(node, "sample") { terms.share = share }
            if only == 1 {
                checker.fail(
                    .conflict, node, "'only: errors' leaves nothing to take a sample of",
                    expected: "one of them; errors always have a line")
            }
        }
        if only == 1 { terms.share = 0 }
        return target == nil ? nil : terms
    }

    private func readTarget(_ node: NodeID) -> AccessLogTerms.Target? {
        guard let text = checker.text(node, "a file") else { return nil }
        switch text {
        case "stdout": return .standardOutput
        case "stderr": return .standardError
        default: break
        }
        guard !text.isEmpty, !text.hasSuffix("/"), !text.utf8.contains(0) else {
            checker.fail(
                .badValue, node, "'\(text.quotable)' is not a file's path",
                expected: "a path such as /var/log/weir/access.log, or stdout or stderr")
            return nil
        }
        return .file(path: path(text, relativeTo: node))
    }

    func readMetrics(_ node: NodeID) -> MetricsTerms? {
        guard let fields = checker.fields(node, MetricsKey.self) else { return nil }
        let methods = fields[.descriptors].flatMap(readDescriptors)
        guard let node = fields[.address], let address = readAddress(node) else { return nil }
        checkIsFree(node, address)
        return MetricsTerms(address: address, methods: methods)
    }

    struct MetricsTerms {
        let address: SocketAddress
        let methods: DeclaredMethods?
    }

    private func readDescriptors(_ node: NodeID) -> DeclaredMethods? {
        guard let path = readFilePath(node) else { return nil }
        let name = checker.tree.string(node).quotable
        do throws(WholeFile.Failure) {
            let methods = try WholeFile.descriptors(path).methods
            for method in methods { digest.add(method.utf8) }
            if methods.isEmpty {
                checker.fail(.unused, node, "the descriptors in '\(name)' declare no method")
            } else if methods.count > Self.declaredMethodsMax {
                checker.fail(
                    .tooMany, node, "'\(name)' declares \(methods.count) methods",
                    expected: "at most \(Self.declaredMethodsMax)")
            }
            return DeclaredMethods(methods)
        } catch {
            checker.fail(
                .badValue, node, "'\(name)' has no descriptors: \(error.words)",
                expected: "what protoc --descriptor_set_out=FILE or buf build -o FILE write")
            return nil
        }
    }

    /// - metrics: where metrics are served, if anywhere.
    func readAdmin(_ node: NodeID, besides metrics: SocketAddress?) -> SocketAddress? {
        guard let fields = checker.fields(node, AdminKey.self), let node = fields[.address],
            let address = readAddress(node)
        else { return nil }
        guard case .unix = address else {
            checker.fail(
                .badValue, node, "the administration interface listens on unix sockets only",
                expected: "unix: and a path, as in unix:/run/weir/admin.sock")
            return nil
        }
        checkIsFree(node, address)
        if address == metrics {
            checker.fail(
                .conflict, node, "metrics are served at \(address) already",
                expected: "an address of its own")
        }
        return address
    }

    private func checkIsFree(_ node: NodeID, _ address: SocketAddress) {
        guard !address.isAnyPort, let other = listeners.first(where: { $0.address == address })
        else { return }
        checker.fail(
            .conflict, node, "listener '\(other.name)' has the address \(address) already",
            expected: "an address of its own")
    }

    /// Relative paths begin where the file is that names them.
    func path(_ text: String, relativeTo node: NodeID) -> String {
        if text.hasPrefix("/") { return text }
        let file = checker.tree.files[checker.tree.file(of: node)].name
        let directory = file.utf8.lastIndex(of: 0x2f).map { file[...$0] } ?? ""
        return directory + text
    }
}
