internal import Wire

/// What an authority has issued: what it must know to revoke and to renew. Expired certificates are
/// forgotten a day later.
public struct AuthorityIndex: Hashable, Sendable {
    /// Certificates that have not expired.
    public static let recordsMax = 200_000
    /// A record's text, the longest ID and all DNS names included.
    public static let lineBytesMax = 16 << 10

    public struct Record: Hashable, Sendable {
        public let serial: [UInt8]
        /// The number of the root that signed it.
        public let root: Int
        /// In seconds since 1970, like `notAfter`.
        public let notBefore: Int64
        public let notAfter: Int64
        public internal(set) var revokedAt: Int64?
        public let names: CertificateNames
    }

    public let trustDomain: String
    /// Numbers of the roots that are believed, oldest first; the last one signs.
    public internal(set) var roots: [Int] = []
    /// How many revocation lists were made.
    public internal(set) var listCount: UInt64 = 0
    public internal(set) var records: [Record] = []

    init(trustDomain: String) { self.trustDomain = trustDomain }

    mutating func add(_ record: Record) throws(CertificateError) {
        guard records.count < Self.recordsMax else {
            throw .unfit("\(Self.recordsMax) certificates have not expired: no more are issued")
        }
        records.append(record)
    }

    mutating func forgetExpired(at now: Int64) {
        records.removeAll { $0.notAfter < now - 86_400 }
    }

    public func record(serial: [UInt8]) -> Record? { records.first { $0.serial == serial } }
}

extension AuthorityIndex {
    private static let version = "weir-ca 1"

    /// Lines of words.
    public var text: [UInt8] {
        var lines = [Self.version, "domain \(trustDomain)", "lists \(listCount)"]
        lines += roots.map { "root \($0)" }
        lines += records.map(\.line)
        return Array((lines.joined(separator: "\n") + "\n").utf8)
    }

    public init(text: [UInt8]) throws(CertificateError) {
        guard text.last == UInt8(ascii: "\n") else {
            throw .unreadable("the index does not end with its last line")
        }
        let lines = text.dropLast().split(
            separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        guard lines.count >= 3, lines[0].elementsEqual(Self.version.utf8),
            let domain = Self.value(lines[1], of: "domain"),
            let id = try? SPIFFEID("spiffe://\(domain)"), id.path.isEmpty,
            id.trustDomain == domain,
            let count = Self.value(lines[2], of: "lists"), let listCount = UInt64(count)
        else { throw .unreadable("it is not an authority's index (\(Self.version))") }
        trustDomain = domain
        self.listCount = listCount
        for (number, line) in lines.enumerated().dropFirst(3) {
            if let root = Self.value(line, of: "root").flatMap({ Int($0) }), root > 0 {
                roots.append(root)
            } else if let record = Record(line: line), records.count < Self.recordsMax {
                records.append(record)
            } else {
                throw .unreadable("line \(number + 1) of the index cannot be read")
            }
        }
        guard !roots.isEmpty, roots == roots.sorted(), Set(roots).count == roots.count else {
            throw .unreadable("the index has no roots, or has them in no order")
        }
    }

    private static func value(_ line: ArraySlice<UInt8>, of key: String) -> String? {
        let start = Array("\(key) ".utf8)
        guard line.count <= lineBytesMax, line.starts(with: start) else { return nil }
        return String(decoding: line.dropFirst(start.count), as: UTF8.self)
    }
}

extension AuthorityIndex.Record {
    fileprivate var line: String {
        let revoked = revokedAt.map { String($0) } ?? "-"
        let names = ["\(names.spiffeID)"] + names.dnsNames
        let times = "\(notBefore) \(notAfter) \(revoked)"
        return "issued \(CertificateSerial.text(serial)) \(root) \(times) "
            + names.joined(separator: " ")
    }

    fileprivate init?(line: ArraySlice<UInt8>) {
        guard line.count <= AuthorityIndex.lineBytesMax else { return nil }
        let words = String(decoding: line, as: UTF8.self).split(
            separator: " ", omittingEmptySubsequences: false)
        guard words.count >= 7, words[0] == "issued",
            let serial = CertificateSerial.parse(String(words[1])), let root = Int(words[2]),
            let notBefore = Int64(words[3]), let notAfter = Int64(words[4]),
            words[5] == "-" || Int64(words[5]) != nil, let id = try? SPIFFEID(String(words[6])),
            let names = try? CertificateNames(
                spiffeID: id, dnsNames: words[7...].map { String($0) })
        else { return nil }
        self.init(
            serial: serial, root: root, notBefore: notBefore, notAfter: notAfter,
            revokedAt: Int64(words[5]), names: names)
    }
}

extension CertificateSerial {
    public static func text(_ serial: [UInt8]) -> String {
        serial.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// Hexadecimal digits, with colons between them or not, in any case.
    public static func parse(_ text: String) -> [UInt8]? {
        let digits = text.utf8.filter { $0 != UInt8(ascii: ":") }
        guard !digits.isEmpty, digits.count % 2 == 0, digits.count <= 40 else { return nil }
        var bytes: [UInt8] = []
        for start in stride(from: 0, to: digits.count, by: 2) {
            let pair = String(decoding: digits[start..<start + 2], as: UTF8.self)
            guard let byte = UInt8(pair, radix: 16), !pair.hasPrefix("+") else { return nil }
            bytes.append(byte)
        }
        return Array(bytes.drop { $0 == 0 })
    }
}
