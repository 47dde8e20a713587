internal import ArgumentParser
internal import Control
internal import Identity
internal import Wire

/// `weir ca serve`: renews certificates for who has one.
struct CAServe: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Renews certificates over a unix socket (protos/ca.proto), until it is ended.",
        discussion: """
            Who has a certificate in force, and signs with its key, gets the next one for the same \
            names; nobody gets another. The socket is for the own user unless --user names \
            others. Revocation lists are made anew before half their life is over.
            """)

    @OptionGroup var directory: AuthorityOption
    @OptionGroup var lists: ListLifetimeOption

    @Option(help: "The path of the unix socket.")
    var socket: String

    @Option(help: "The number of a user who may ask, beside the own one and root; repeat it.")
    var user: [UInt32] = []

    @Option(help: "The longest lifetime that is given.")
    var lifetimeMax = Lifetime(seconds: 7 * 86_400)

    func run() throws {
        try reporting {
            // Found out now, not by the first who asks.
            _ = try directory.open()
            let service = RenewalService(
                directory: directory.path, listLifetime: lists.lifetime.seconds,
                lifetimeMax: lifetimeMax.seconds, users: Set(user + [0, UnaryServer.ownUser]))
            let server: UnaryServer
            do throws(ListenError) {
                server = try UnaryServer(
                    path: socket, isForAll: !user.isEmpty, answer: service.answer)
            } catch {
                throw CommandFailure(socket, "\(error)", .cannot)
            }
            StandardError.write("\(directory.path): serving on \(socket)\n")
            server.run(everySeconds: 60) { service.refreshLists() }
        }
    }
}

/// The service of protos/ca.proto. Every call opens the directory anew, so that other commands may
/// work on it meanwhile.
struct RenewalService: Sendable {
    let directory: String
    let listLifetime: Int64
    let lifetimeMax: Int64
    /// Who may ask.
    let users: Set<UInt32>

    func answer(_ call: UnaryServer.Call) -> UnaryServer.Answer {
        guard users.contains(call.user) else {
            return .failure(.permissionDenied, "user \(call.user) may not ask")
        }
        guard call.path == RenewRequest.path else {
            return .failure(.unimplemented, "no such method")
        }
        guard let request = RenewRequest(call.message) else {
            return .failure(.invalidArgument, "the request is no message")
        }
        do throws(CommandFailure) {
            let opened = try AuthorityDirectory(directory)
            let renewal = CertificateRenewal(
                certificate: request.certificate, request: request.request, proof: request.proof)
            let chain: [Certificate]
            do throws(CertificateError) {
                chain = try opened.authority.renew(
                    renewal, lifetimeMax: lifetimeMax, at: AtomicFile.secondsNow())
            } catch {
                StandardError.write("refused user \(call.user): \(error)\n")
                return .failure(.permissionDenied, error.description)
            }
            try opened.saveIndex()
            StandardError.write("renewed \(chain[0].summary)\n")
            let response = RenewResponse(
                chain: chain.map(\.der), bundle: opened.authority.bundle,
                revocationLists: try readFile("\(directory)/crl.pem"))
            return .message(response.encoded)
        } catch {
            StandardError.write("\(error.place): \(error.words)\n")
            return .failure(.unavailable, "the authority's files cannot be used now")
        }
    }

    /// Makes new lists once less than half of the old ones' life is left.
    func refreshLists() {
        do throws(CommandFailure) {
            let opened = try AuthorityDirectory(directory)
            let lists = try readFile("\(directory)/crl.pem")
            // What cannot be used is made anew, too.
            let bundle = try? TrustBundle(
                name: opened.authority.trustDomain, authorities: opened.authority.bundle,
                revocations: lists)
            let left = (bundle?.revocationsExpireAt ?? 0) - AtomicFile.secondsNow()
            guard left < listLifetime / 2 else { return }
            try opened.publish(listLifetime: listLifetime)
            StandardError.write("\(directory): new revocation lists\n")
        } catch {
            StandardError.write("\(error.place): \(error.words)\n")
        }
    }
}
