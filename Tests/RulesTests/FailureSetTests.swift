import Rules
import Testing
import Wire

@Suite struct FailureSetTests {
    @Test(
        "what says that the server is in trouble counts, what says that the caller is does not",
        arguments: GRPCStatus.allCases)
    func standardCodes(code: GRPCStatus) {
        let counted: Set<GRPCStatus> = [.unavailable, .internalError, .dataLoss, .deadlineExceeded]
        #expect(FailureSet.standard.contains(code) == counted.contains(code))
    }

    @Test(
        "of plain HTTP's statuses those from 500 to 599 count",
        arguments: [
            (0, false), (200, false), (404, false), (429, false), (499, false), (500, true),
            (503, true), (599, true), (600, false), (999, false), (65_535, false),
        ] as [(UInt16, Bool)])
    func standardStatuses(status: UInt16, isCounted: Bool) {
        #expect(FailureSet.standard.contains(status: status) == isCounted)
    }

    @Test("a code that gRPC does not name is taken for UNKNOWN")
    func unnamedCode() {
        let unknown = FailureSet(codes: [.unknown], statuses: [])
        #expect(unknown.contains(code: 17))
        #expect(unknown.contains(code: .max))
        #expect(!FailureSet.standard.contains(code: 17))
    }

    @Test("a set lists what is in it, neighbouring statuses as one range")
    func lists() {
        let set = FailureSet(codes: [.unknown, .ok], statuses: [429...429, 500...502, 503...599])
        #expect(set.listedCodes == [.ok, .unknown])
        #expect(set.listedStatuses == [429...429, 500...599])
    }
}
