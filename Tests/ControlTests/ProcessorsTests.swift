import Testing

@testable import Control

@Suite struct ProcessorsTests {
    @Test("there is always a processor")
    func available() { #expect(Processors.available >= 1) }

    @Test(
        "a quota is cores, a part of one as one",
        arguments: [
            ("max 100000\n", nil), ("100000 100000\n", 1), ("150000 100000\n", 2),
            ("1000 100000\n", 1), ("800000 100000", 8), ("0 100000", nil), ("1 0", nil), ("", nil),
            ("x y", nil), ("9223372036854775807 1", .max),
        ] as [(String, Int?)])
    func quota(_ text: String, _ expected: Int?) { #expect(Processors.quota(text) == expected) }

    @Test(
        "the quotas of all groups around the process hold",
        arguments: [
            ("0::/\n", ["/sys/fs/cgroup"]), ("", ["/sys/fs/cgroup"]),
            ("12:cpu:/a\n0::/b/c\n", ["/sys/fs/cgroup", "/sys/fs/cgroup/b", "/sys/fs/cgroup/b/c"]),
            ("0::/../d\n", ["/sys/fs/cgroup", "/sys/fs/cgroup/d"]),
        ])
    func folders(_ membership: String, _ expected: [String]) {
        #expect(Processors.folders(of: membership) == expected)
    }
}
