internal import Wire

/// What a running Weir says of the listening sockets that it hands over to a successor. The sockets
/// themselves come along, as descriptors in the same order.
///
/// The number of the protocol is part of the page's name, so that a Weir which speaks another
/// answers that it has no such page.
struct HandOver: Equatable, Sendable {
    static let protocolVersion = 1
    static let page = "/takeover/\(protocolVersion)"
    /// More than any configuration names.
    static let socketsMax = 1_024
    static let bytesMax = 1 << 20

    struct Socket: Equatable, Sendable {
        let address: SocketAddress
        /// What a supervisor calls a socket that it opened itself, and keeps.
        var supervisedName: String?
    }

    /// A random name of the process: who is ready names it, so that no third one is told to go.
    var instance: String
    var processID: Int32
    /// Of the program.
    var version: String
    var sockets: [Socket]

    var text: String {
        let sockets = sockets.map { socket -> JSONValue in
            var members = [member("address", .string("\(socket.address)"))]
            if let name = socket.supervisedName { members.append(member("name", .string(name))) }
            return .object(members)
        }
        let value = JSONValue.object([
            member("protocol", .integer(Int64(Self.protocolVersion))),
            member("instance", .string(instance)),
            member("process", .integer(Int64(processID))),
            member("version", .string(version)),
            member("sockets", .array(sockets)),
        ])
        return String(decoding: value.bytes, as: UTF8.self) + "\n"
    }

    private func member(_ name: String, _ value: JSONValue) -> JSONValue.Member {
        JSONValue.Member(name: name, value: value)
    }
}

extension HandOver {
    /// Why a text is none.
    enum Problem: Error, Equatable {
        case length, syntax(String), otherProtocol
        /// The member that is missing or of another kind.
        case member(String)
        case address(String)
        case tooManySockets

        var words: String {
            switch self {
            case .length: "it is longer than \(HandOver.bytesMax) bytes"
            case .syntax(let words): words
            case .otherProtocol:
                "it is not of version \(HandOver.protocolVersion) of the protocol"
            case .member(let name): "'\(name)' is missing or is none"
            case .address(let text): "'\(text)' is no address"
            case .tooManySockets: "there are more than \(HandOver.socketsMax) sockets"
            }
        }
    }

    /// Reads what `text` wrote. Members that it does not know are passed over.
    init(parsing bytes: [UInt8]) throws(Problem) {
        guard bytes.count <= Self.bytesMax else { throw .length }
        let value: JSONValue
        do { value = try JSONParser.parse(bytes.span) } catch { throw .syntax("\(error)") }
        guard value["protocol"] == .integer(Int64(Self.protocolVersion)) else {
            throw .otherProtocol
        }
        guard case .integer(let number)? = value["process"], let process = Int32(exactly: number),
            process > 0
        else { throw .member("process") }
        guard case .array(let entries)? = value["sockets"] else { throw .member("sockets") }
        guard entries.count <= Self.socketsMax else { throw .tooManySockets }
        var sockets: [Socket] = []
        for entry in entries { sockets.append(try Self.socket(entry)) }
        self.init(
            instance: try Self.string("instance", of: value), processID: process,
            version: try Self.string("version", of: value), sockets: sockets)
    }

    private static func string(_ name: String, of value: JSONValue) throws(Problem) -> String {
        guard case .string(let text)? = value[name] else { throw .member(name) }
        return text
    }

    private static func socket(_ entry: JSONValue) throws(Problem) -> Socket {
        let text = try string("address", of: entry)
        guard let address = try? SocketAddress(parsing: text) else { throw .address(text) }
        let name = entry["name"] == nil ? nil : try string("name", of: entry)
        return Socket(address: address, supervisedName: name)
    }
}
