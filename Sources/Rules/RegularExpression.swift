internal import CPCRE2

/// A compiled regular expression (PCRE2's syntax, bytes not characters) that must match all of a
/// value. What a value can cost is bounded by `valueBytesMax` and `stepsMax`.
///
/// This file is the boundary to PCRE2 and the only one of its module with unsafe code.
@safe public final class RegularExpression: Sendable, Equatable {
    public enum Verdict: Sendable { case matches, differs, exceedsLimits }

    public struct SyntaxError: Error, Equatable, CustomStringConvertible {
        /// Where in the pattern, in bytes.
        public let offset: Int
        public let reason: String

        public var description: String { "\(reason) at byte \(offset) of the regular expression" }
    }

    public static let patternBytesMax = 1_024
    /// Longer values are not tried.
    public static let valueBytesMax = 4_096
    /// Backtracking steps that one value may take.
    public static let stepsMax: UInt32 = 10_000
    /// Memory for backtracking, in KiB.
    public static let heapKiBMax: UInt32 = 256

    public let pattern: [UInt8]

    // Proof: PCRE2 writes to neither after they were made ("pcre2api", Multithreading), and they
    // are freed in deinit, when nobody else can hold them.
    nonisolated(unsafe) private let code: OpaquePointer
    nonisolated(unsafe) private let limits: OpaquePointer

    public init(_ pattern: [UInt8]) throws(SyntaxError) {
        guard pattern.count <= Self.patternBytesMax else {
            let reason = "more than the \(Self.patternBytesMax) bytes allowed"
            throw SyntaxError(offset: Self.patternBytesMax, reason: reason)
        }
        let options = PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_UTF
        var error: CInt = 0
        var offset = 0
        let compiled = unsafe pattern.withUnsafeBufferPointer { bytes in
            unsafe pcre2_compile_8(bytes.baseAddress, bytes.count, options, &error, &offset, nil)
        }
        guard let code = unsafe compiled else {
            throw SyntaxError(offset: offset, reason: Self.words(of: error))
        }
        guard let limits = unsafe pcre2_match_context_create_8(nil) else {
            unsafe pcre2_code_free_8(code)
            throw SyntaxError(offset: 0, reason: "out of memory")
        }
        unsafe pcre2_set_match_limit_8(limits, Self.stepsMax)
        unsafe pcre2_set_heap_limit_8(limits, Self.heapKiBMax)
        self.pattern = pattern
        unsafe self.code = unsafe code
        unsafe self.limits = unsafe limits
    }

    deinit {
        unsafe pcre2_match_context_free_8(limits)
        unsafe pcre2_code_free_8(code)
    }

    /// Whether all of `value` matches. From any thread: what a match writes to is its own.
    public func verdict(on value: Span<UInt8>) -> Verdict {
        guard value.count <= Self.valueBytesMax else { return .exceedsLimits }
        guard let data = unsafe pcre2_match_data_create_8(1, nil) else { return .exceedsLimits }
        defer { unsafe pcre2_match_data_free_8(data) }
        let result = unsafe value.withUnsafeBufferPointer { bytes in
            unsafe pcre2_match_8(code, bytes.baseAddress, bytes.count, 0, 0, data, limits)
        }
        if result >= 0 { return .matches }
        return result == PCRE2_ERROR_NOMATCH ? .differs : .exceedsLimits
    }

    public static func == (left: RegularExpression, right: RegularExpression) -> Bool {
        left.pattern == right.pattern
    }

    private static func words(of error: CInt) -> String {
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = unsafe buffer.withUnsafeMutableBufferPointer { bytes in
            unsafe pcre2_get_error_message_8(error, bytes.baseAddress, bytes.count)
        }
        return String(decoding: buffer.prefix(max(Int(count), 0)), as: UTF8.self)
    }
}
