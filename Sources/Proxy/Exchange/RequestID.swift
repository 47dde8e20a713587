internal import Configuration
internal import Wire

/// `x-request-id`: what a request is called in every log on its way.
enum RequestID {
    static let bytesMax = 128
    static let name: StaticString = "x-request-id"

    /// Printable ASCII without spaces, and not too long: what any log can hold.
    static func isProper(_ value: Span<UInt8>) -> Bool {
        guard (1...bytesMax).contains(value.count) else { return false }
        return value.indices.allSatisfy { value[$0] > 0x20 && value[$0] < 0x7f }
    }

    /// 128 bits as 32 hexadecimal digits.
    static func text(_ high: UInt64, _ low: UInt64) -> InlineArray<32, UInt8> {
        InlineArray { index in
            let half = index < 16 ? high : low
            return UInt8.hexadecimal(half >> UInt64(60 &- (index & 15) &* 4))
        }
    }
}

extension Worker {
    /// Gives a request its ID, where the listener makes one and none came that it keeps.
    func identify(_ exchange: Exchange, _ policy: ListenerTerms.Intake.RequestID) {
        let place = exchange.head.requestID
        if policy == .make, !exchange.head.hasSeveralRequestIDs,
            let value = exchange.request.headers.value(at: place), value.use(RequestID.isProper)
        {
            return
        }
        // Half of it is mixed with what no other process has: the worker's numbers alone repeat
        // where two of them began alike.
        let system = workspace.system
        let text = RequestID.text(system.random(), system.random() ^ system.instance)
        guard let value = exchange.arena.keep(text.span, from: workspace.blocks) else { return }
        guard place < 0 else { return replaceRequestIDs(exchange, value) }
        let index = exchange.request.headers.count
        let isAdded = exchange.request.headers.append(
            ByteView(RequestID.name), value, isIndexed: false, in: &exchange.arena,
            from: workspace.blocks)
        if isAdded { exchange.head.noted(.requestID, at: index) }
    }

    private func replaceRequestIDs(_ exchange: Exchange, _ value: ByteView) {
        for index in 0..<exchange.request.headers.count
        where exchange.request.headers.name(index).equals(RequestID.name) {
            exchange.request.headers.setValue(index, value)
        }
    }
}
