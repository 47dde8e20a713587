/// What a client and a server say, and when, read from any bytes: what fuzzing makes up, so that to
/// change a byte is a small change of the story.
///
///     setting, chance, then steps: what is done (3 bits, the rest is ignored), a number N
///
///     0, 1   the client says the next N bytes (255: as many as the next two say)
///     2, 3   the server does, on its newest connection
///     4      N * N ms pass
///     5      the client says one of `RawFrames`, or dials again, or ends
///     6      the server says one of them, or ends
///     7      N * 16 us pass
struct RawScript {
    enum Step: Equatable {
        case client([UInt8]), server([UInt8])
        case passes(Int64)
        case clientFrames(Int), serverFrames(Int)
    }

    /// Steps beyond these are not taken.
    static let stepsMax = 400

    /// Which listener is dialled.
    let door: Int
    /// The client begins with the preface and SETTINGS, the server with SETTINGS.
    let clientGreets: Bool
    let serverGreets: Bool
    let splitsFinely: Bool
    let seed: UInt64
    private(set) var steps: [Step] = []

    /// Of peers that begin as they should.
    init(door: Int, _ steps: [Step]) {
        self.door = door
        clientGreets = true
        serverGreets = true
        splitsFinely = false
        seed = 0
        self.steps = steps
    }

    init(_ bytes: [UInt8]) {
        var reader = Reader(bytes: bytes)
        let setting = reader.byte() ?? 0
        door = Int(setting & 3) % 3
        clientGreets = setting & 4 == 0
        serverGreets = setting & 8 == 0
        splitsFinely = setting & 16 != 0
        seed = UInt64(reader.byte() ?? 0)
        while steps.count < Self.stepsMax, let kind = reader.byte(), let number = reader.byte() {
            switch kind & 7 {
            case 0, 1: steps.append(.client(reader.take(number)))
            case 2, 3: steps.append(.server(reader.take(number)))
            case 4: steps.append(.passes(Int64(number) * Int64(number) * 1_000_000))
            case 5: steps.append(.clientFrames(Int(number)))
            case 6: steps.append(.serverFrames(Int(number)))
            default: steps.append(.passes(Int64(number) * 16_000))
            }
        }
    }

    private struct Reader {
        let bytes: [UInt8]
        var index = 0

        mutating func byte() -> UInt8? {
            guard index < bytes.count else { return nil }
            defer { index += 1 }
            return bytes[index]
        }

        mutating func take(_ number: UInt8) -> [UInt8] {
            var count = Int(number)
            if number == 255 { count = Int(byte() ?? 0) << 8 | Int(byte() ?? 0) }
            let end = min(bytes.count, index + count)
            defer { index = end }
            return Array(bytes[index..<end])
        }
    }
}
