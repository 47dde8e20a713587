import Testing

@testable import Wire

@Suite struct GRPCTests {
    @Test(
        "an HTTP status without grpc-status becomes the mapping's code",
        arguments: [
            (400, .internalError), (401, .unauthenticated), (403, .permissionDenied),
            (404, .unimplemented), (429, .unavailable), (431, .internalError), (502, .unavailable),
            (503, .unavailable), (504, .unavailable), (200, .unknown), (500, .unknown),
            (415, .unknown), (0, .unknown),
        ] as [(UInt16, GRPCStatus)])
    func httpToStatus(http: UInt16, status: GRPCStatus) {
        #expect(GRPCStatus(httpStatus: http) == status)
    }

    @Test("an HTTP/2 error code becomes the mapping's code")
    func errorCodes() {
        let expected: [GRPCStatus] = [
            .internalError, .internalError, .internalError, .internalError, .internalError,
            .internalError, .internalError, .unavailable, .cancelled, .internalError,
            .internalError,
            .resourceExhausted, .permissionDenied, .internalError,
        ]
        for (code, status) in expected.enumerated() {
            #expect(GRPCStatus(http2ErrorCode: UInt32(code)) == status)
        }
        #expect(GRPCStatus(http2ErrorCode: .max) == .internalError)
    }

    @Test("every code has its number, name and HTTP status")
    func names() {
        let expected: [(String, UInt16)] = [
            ("OK", 200), ("CANCELLED", 499), ("UNKNOWN", 500), ("INVALID_ARGUMENT", 400),
            ("DEADLINE_EXCEEDED", 504), ("NOT_FOUND", 404), ("ALREADY_EXISTS", 409),
            ("PERMISSION_DENIED", 403), ("RESOURCE_EXHAUSTED", 429), ("FAILED_PRECONDITION", 400),
            ("ABORTED", 409), ("OUT_OF_RANGE", 400), ("UNIMPLEMENTED", 501), ("INTERNAL", 500),
            ("UNAVAILABLE", 503), ("DATA_LOSS", 500), ("UNAUTHENTICATED", 401),
        ]
        #expect(GRPCStatus.allCases.count == expected.count)
        for (status, row) in zip(GRPCStatus.allCases, expected) {
            #expect(status.name.description == row.0)
            #expect(status.httpStatus == row.1)
        }
        #expect(GRPCStatus(rawValue: 16) == .unauthenticated)
    }

    @Test(
        "grpc-status is a number without leading zeros",
        arguments: [
            ("0", 0), ("5", 5), ("16", 16), ("17", 17), ("4294967295", .max), ("4294967296", nil),
            ("00", nil), ("05", nil), ("", nil), ("-1", nil), ("+1", nil), (" 0", nil), ("0 ", nil),
            ("OK", nil), ("99999999999", nil),
        ] as [(String, UInt32?)])
    func status(text: String, number: UInt32?) {
        let found = GRPCStatus.parse(text.utf8.span)
        #expect(found == number)
    }

    @Test(
        "grpc-timeout is one to eight digits and a unit",
        arguments: [
            ("0n", 0), ("1n", 1), ("1u", 1_000), ("1m", 1_000_000), ("1S", 1_000_000_000),
            ("1M", 60_000_000_000), ("1H", 3_600_000_000_000), ("99999999n", 99_999_999),
            ("00000001S", 1_000_000_000), ("99999999H", .max),
            ("2562047H", 9_223_369_200_000_000_000),
            ("2562048H", .max), ("99999999M", 5_999_999_940_000_000_000),
            ("", nil), ("S", nil), ("1", nil), ("123456789n", nil), ("1s", nil), ("1h", nil),
            ("1U", nil), ("1N", nil), ("-1S", nil), ("+1S", nil), ("1.5S", nil), (" 1S", nil),
            ("1S ", nil), ("1 S", nil), ("1SS", nil), ("1ms", nil), ("٣S", nil),
        ] as [(String, Int64?)])
    func timeout(text: String, nanoseconds: Int64?) {
        let found = GRPCTimeout.parse(text.utf8.span)
        #expect(found == nanoseconds)
    }

    @Test(
        "a timeout is written in the finest unit that fits, rounded down",
        arguments: [
            (0, "0n"), (-5, "0n"), (Int64.min, "0n"), (1, "1n"), (99_999_999, "99999999n"),
            (100_000_000, "100000u"), (1_000_000_000, "1000000u"), (99_999_999_999, "99999999u"),
            (100_000_000_000, "100000m"), (99_999_999_999_999, "99999999m"),
            (100_000_000_000_000, "100000S"), (99_999_999_999_999_999, "99999999S"),
            (100_000_000_000_000_000, "1666666M"), (5_999_999_999_999_999_999, "99999999M"),
            (6_000_000_000_000_000_000, "1666666H"), (.max, "2562047H"),
        ] as [(Int64, String)])
    func encodedTimeout(nanoseconds: Int64, text: String) {
        #expect(Self.text(GRPCTimeout.encode(nanoseconds)) == text)
    }

    @Test("a written timeout is never longer than what was left, and little shorter")
    func timeoutRoundTrip() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SplitMix(seed)
        for _ in 0..<10_000 {
            let nanoseconds = Int64(random.next() >> UInt64.random(in: 1...63, using: &random))
            let encoded = Array(Self.text(GRPCTimeout.encode(nanoseconds)).utf8)
            let parsed = GRPCTimeout.parse(encoded.span) ?? -1
            let isClose = nanoseconds - parsed <= nanoseconds / 100_000
            #expect(parsed <= nanoseconds && isClose, "seed \(seed), \(nanoseconds) ns")
        }
    }

    private static func text(_ encoded: GRPCTimeout.EncodedTimeout) -> String {
        String(decoding: (0..<encoded.count).map { encoded.bytes[$0] }, as: UTF8.self)
    }
}

/// A generator of random numbers that can be started again from a printed seed.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }
}
