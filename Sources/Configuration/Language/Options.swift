internal import Rules

/// What a table of options fills; a new one has the defaults.
protocol OptionRoot: Sendable { init() }
extension DownstreamLimits: OptionRoot {}
extension DownstreamTimeouts: OptionRoot {}
extension UpstreamLimits: OptionRoot {}
extension UpstreamTimeouts: OptionRoot {}

/// One number in `limits` or `timeouts`: how it is written, bounded, explained and stored. Its
/// default is what an untouched `Root` has.
struct Option<Root: OptionRoot>: Sendable {
    enum Unit: Sendable { case count, size, duration(offAllowed: Bool) }

    let key: String
    let unit: Unit
    /// In bytes, nanoseconds or as counted; `off`, where allowed, is 0 whatever the range.
    let range: ClosedRange<Int64>
    let doc: String
    let read: @Sendable (Root) -> Int64
    let apply: @Sendable (inout Root, Int64) -> Void

    static func count<Number: FixedWidthInteger & SendableMetatype>(
        _ key: String, _ path: any WritableKeyPath<Root, Number> & Sendable,
        _ range: ClosedRange<Int64>, _ doc: String
    ) -> Self { make(key, .count, path, range, doc) }

    static func size<Number: FixedWidthInteger & SendableMetatype>(
        _ key: String, _ path: any WritableKeyPath<Root, Number> & Sendable,
        _ range: ClosedRange<Int64>, _ doc: String
    ) -> Self { make(key, .size, path, range, doc) }

    /// From a millisecond to 24 hours, or `off`.
    static func duration(
        _ key: String, _ path: any WritableKeyPath<Root, Int64> & Sendable, _ doc: String
    ) -> Self { make(key, .duration(offAllowed: true), path, Duration.range, doc) }

    /// The same without `off`.
    static func time(
        _ key: String, _ path: any WritableKeyPath<Root, Int64> & Sendable, _ doc: String
    ) -> Self { make(key, .duration(offAllowed: false), path, Duration.range, doc) }

    private static func make<Number: FixedWidthInteger & SendableMetatype>(
        _ key: String, _ unit: Unit, _ path: any WritableKeyPath<Root, Number> & Sendable,
        _ range: ClosedRange<Int64>, _ doc: String
    ) -> Self {
        Self(
            key: key, unit: unit, range: range, doc: doc,
            read: { Int64(clamping: $0[keyPath: path]) },
            apply: { $0[keyPath: path] = Number(clamping: $1) })
    }
}
