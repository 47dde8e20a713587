// The keys of identities, trust and TLS.

enum IdentityKey: Int, LanguageKey {
    case name, certificate, privateKey, authority

    static let table = makeTable("identity")

    var term: Term {
        switch self {
        case .name: Term("name", .name, "What listeners and upstreams call it", required: true)
        case .certificate:
            Term(
                "certificate", .file,
                "PEM: Weir's certificate, then those between it and an authority", required: true)
        case .privateKey:
            Term(
                "private_key", .file, "PEM, not encrypted; refused if everybody may read it",
                required: true)
        case .authority:
            Term(
                "authority", .text("`unix:` and a path", pattern: "unix:.+"),
                "The socket of `weir ca serve`: at half of its life the certificate is renewed "
                    + "there, with a new key, and both files are replaced", byDefault: "none")
        }
    }
}

enum TrustKey: Int, LanguageKey {
    case name, authorities, revocations

    static let table = makeTable("trust entry")

    var term: Term {
        switch self {
        case .name:
            Term(
                "name", .name,
                "The trust domain whose SPIFFE IDs it speaks for, and what others call it",
                required: true)
        case .authorities:
            Term("ca", .file, "PEM: certificates of the authorities", required: true)
        case .revocations:
            Term(
                "crl", .file,
                "PEM: what they revoked; with it, a certificate that no list covers is refused",
                byDefault: "none")
        }
    }
}

enum ListenerTLSKey: Int, LanguageKey {
    case identities, clients, trust, forwardClient

    static let table = makeTable("listener TLS")

    var term: Term {
        switch self {
        case .identities:
            Term(
                "identities", .list(.name),
                "Who Weir is: chosen by the name that a client asks for (SNI), the first if none "
                    + "fits", required: true)
        case .clients:
            Term(
                "clients", .choice(["none", "optional", "required"]),
                "Whether clients show certificates; one that is shown must verify",
                byDefault: "none")
        case .trust:
            Term(
                "trust", .list(.name), "Whom Weir believes about clients",
                byDefault: "required where clients show certificates")
        case .forwardClient:
            Term(
                "forward_client", .choice(["on", "off"]),
                "Whether servers are told, in `x-forwarded-client-cert`, who the client has proven "
                    + "to be", byDefault: "off")
        }
    }
}

enum UpstreamTLSKey: Int, LanguageKey {
    case identity, trust, peers, dnsName, serverName

    static let table = makeTable("upstream TLS", oneOf: ["peers", "dns_name"])

    var term: Term {
        switch self {
        case .identity:
            Term(
                "identity", .name, "Who Weir is to the servers", byDefault: "shows no certificate")
        case .trust:
            Term(
                "trust", .name, "Whom it believes about them; `system` for the public web's",
                required: true)
        case .peers:
            Term(
                "peers", .list(.peer),
                "Who they must be: any of these SPIFFE IDs, `/*` at the end for all below, "
                    + "`dns:NAME`, or `verified` for anybody it believes")
        case .dnsName:
            Term("dns_name", .hostname, "The name that their certificates must be issued for")
        case .serverName:
            Term(
                "server_name", .hostname, "The name that Weir asks for (SNI)",
                byDefault: "dns_name, or none")
        }
    }
}

extension Shape {
    static let file = Shape.text("a file's path", pattern: ".+")
    static let peer = Shape.text(
        "a peer", pattern: "(spiffe://.+|dns:.+|verified)")
}
