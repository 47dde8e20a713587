internal import Rules
internal import Wire

/// Faults that a route injects.
extension SnapshotBuilder {
    func readFault(_ node: NodeID) -> FaultTerms? {
        guard let fields = checker.fields(node, FaultKey.self) else { return nil }
        if fields[.delay] == nil, fields[.abort] == nil {
            checker.fail(
                .missingKey, node, "this fault neither delays nor ends anything",
                expected: "delay, abort or both")
        }
        return FaultTerms(
            delay: fields[.delay].flatMap(readDelay), abort: fields[.abort].flatMap(readAbort),
            loweredBy: fields[.loweredBy].flatMap(readLoweringHeader))
    }

    private func readDelay(_ node: NodeID) -> FaultTerms.Delay? {
        guard let fields = checker.fields(node, FaultDelayKey.self) else { return nil }
        let duration = fields[.duration].flatMap {
            checker.duration($0, "a delay", offAllowed: false)
        }
        let share = fields[.share].flatMap { checker.percent($0, "a share") }
        guard let duration, let share else { return nil }
        return FaultTerms.Delay(duration: duration, share: share)
    }

    private func readAbort(_ node: NodeID) -> FaultTerms.Abort? {
        guard let fields = checker.fields(node, FaultAbortKey.self) else { return nil }
        let share = fields[.share].flatMap { checker.percent($0, "a share") }
        let http = fields[.status].flatMap { checker.count($0, "a status", 400...599) }
        let grpc = fields[.grpcStatus].flatMap(readGRPCStatus)
        let okay = ["OK", "0"]
        if let place = fields[.grpcStatus], okay.contains(checker.tree.string(place)) {
            checker.fail(
                .badValue, place, "\(checker.found(place)) ends nothing", expected: "another status"
            )
        }
        if fields[.status] == nil, fields[.grpcStatus] == nil {
            checker.fail(
                .missingKey, node, "this abort does not say what callers get",
                expected: "grpc_status, status or both")
        }
        guard let share, http != nil || grpc != nil else { return nil }
        let fallback = GRPCStatus(httpStatus: UInt16(clamping: http ?? 503))
        let status = grpc ?? fallback
        return FaultTerms.Abort(
            grpcStatus: status.rawValue, httpStatus: http.map { UInt16($0) } ?? status.httpStatus,
            share: share)
    }

    private func readLoweringHeader(_ node: NodeID) -> [UInt8]? {
        guard let name = fieldName(node) else { return nil }
        let isStripped = HeaderToken.of(name.span).isStrippedFromClients
        if isStripped || ReservedNames.reason(matching: name) != nil {
            checker.fail(
                .reservedHeader, node, "no fault can depend on \(checker.found(node))",
                expected: "a header that clients set")
            return nil
        }
        return name
    }
}
