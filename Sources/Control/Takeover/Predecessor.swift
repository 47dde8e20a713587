internal import Wire

/// The Weir whose listening sockets this process takes over, asked over its administration
/// interface. It holds nothing of this: until it is told that its successor is ready it goes on as
/// ever, and who fails before that has changed nothing.
struct Predecessor: Sendable {
    /// What it says when the successor is ready.
    enum Reply: Equatable {
        case goes
        /// It is gone, or goes for another reason: its sockets are nobody else's all the same.
        case isGone(String)
        /// Another process has them by now.
        case hasSuccessor(String)
        /// It serves still, and does not hear.
        case isSilent(String)
    }

    let path: String
    let facts: HandOver

    /// Asks for the sockets; gives them with who had them.
    static func ask(
        at path: String
    ) throws(TakeoverFailure) -> (predecessor: Predecessor, sockets: [HandedSocket]) {
        let (answer, descriptors) = try AdminCall.make("GET", HandOver.page, "", at: path)
        guard answer.status == 200 else { throw Self.refusal(answer, path) }
        let facts: HandOver
        do { facts = try HandOver(parsing: answer.body) } catch {
            throw .refused("\(path): what it says of its sockets cannot be used: \(error.words)")
        }
        let sockets = try HandedSocket.matching(facts.sockets, descriptors, path)
        return (Predecessor(path: path, facts: facts), sockets)
    }

    /// Tells that this process serves, so that the other one may go. Where that has ended, its
    /// socket takes connections still, as this process has it as well: whether another successor
    /// answers them has to be waited for.
    func tellReady(_ watch: ProcessWatch?) -> Reply {
        do throws(TakeoverFailure) {
            let (answer, _) = try AdminCall.make(
                "POST", HandOver.page, facts.instance, at: path, watch: watch)
            switch answer.status {
            case 202: return .goes
            case 409: return .hasSuccessor(answer.words)
            case 410: return .isGone(answer.words)
            default: return .isSilent("\(answer.status): \(answer.words)")
            }
        } catch {
            switch error {
            case .nobody(let words): return .isGone(words)
            case .refused(let words):
                return watch?.hasEnded == true ? .isGone("it has ended") : .isSilent(words)
            }
        }
    }

    private static func refusal(_ answer: HTTPAnswer, _ path: String) -> TakeoverFailure {
        switch answer.status {
        case 404:
            let version = HandOver.protocolVersion
            return .refused(
                "\(path): the Weir there does not know version \(version) of the takeover: "
                    + "it has to be restarted")
        default: return .refused("\(path): \(answer.words)")
        }
    }
}

/// Why nothing is taken over.
public enum TakeoverFailure: Error, Equatable {
    /// There is no Weir to take over from.
    case nobody(String)
    case refused(String)

    public var words: String {
        switch self {
        case .nobody(let words), .refused(let words): words
        }
    }
}
