// The keys of `token_issuers`, `token_signers` and `attach_token`.

enum TokenIssuerKey: Int, LanguageKey {
    case name, issuer, audiences, algorithms, keys, maxLifetime, skew, types, requiredClaims
    case trustDomain, bind, forward, claimsToHeaders

    static let table = makeTable("token issuer")

    var term: Term {
        switch self {
        case .name: Term("name", .name, "What access rules and logs call it", required: true)
        case .issuer:
            Term("issuer", .anyText, "What `iss` must be, byte by byte", required: true)
        case .audiences:
            Term(
                "audiences", .list(.anyText), "One of them must be in `aud`; at least one",
                required: true)
        case .algorithms:
            Term(
                "algorithms", .list(.choice(TokenIssuerKey.algorithmNames)),
                "How its tokens may be signed; at least one, and HS only with a secret",
                required: true)
        case .keys:
            Term(
                "keys", .object(TokenKeysKey.table), "What its tokens are verified with",
                required: true)
        case .maxLifetime:
            Term(
                "max_lifetime", .duration(offAllowed: false),
                "The longest time from `iat`, and from now, to `exp`", byDefault: "none")
        case .skew:
            Term(
                "skew", .duration(offAllowed: true),
                "How far clocks may be apart, at most 60s", byDefault: "30s")
        case .types:
            Term(
                "types", .list(.anyText), "What `typ` may be, if it is there",
                byDefault: "[JWT, at+jwt]")
        case .requiredClaims:
            Term(
                "required_claims", .list(.anyText), "Claims that must be there and not null",
                byDefault: "none")
        case .trustDomain:
            Term(
                "trust_domain", .anyText,
                "The trust domain whose SPIFFE IDs it speaks for; a key with a `spiffe_id` needs "
                    + "none",
                byDefault: "none")
        case .bind:
            Term(
                "bind", .choice(["certificate"]),
                "Only tokens bound to the caller's certificate count (RFC 8705)",
                byDefault: "tokens that are bound are checked, others count too")
        case .forward:
            Term(
                "forward", .choice(["remove", "keep"]), "Whether servers get the token",
                byDefault: "remove")
        case .claimsToHeaders:
            Term(
                "claims_to_headers",
                .map("claims", .text("a header's name that begins with `x-jwt-`", pattern: ".+")),
                "Claims that servers are told of in headers; `a.b` is `b` inside `a`",
                byDefault: "none")
        }
    }

    private static let algorithmNames = [
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
        "HS256", "HS384", "HS512",
    ]
}

enum TokenKeysKey: Int, LanguageKey {
    case file, url, secret, refresh, authorities

    static let table = makeTable("token keys", oneOf: ["file", "url", "secret"])

    var term: Term {
        switch self {
        case .file:
            Term("file", .anyText, "A JWKS file; it is watched like the configuration")
        case .url:
            Term(
                "url", .text("an https URL", pattern: "https://.+"),
                "Where the JWKS is fetched from, in the background")
        case .secret:
            Term(
                "secret", .anyText,
                "A file with the secret of HS256, HS384 and HS512; one line end behind it does not "
                    + "count, and others must not be able to read it")
        case .refresh:
            Term(
                "refresh", .duration(offAllowed: false), "How often a `url` is fetched",
                byDefault: "5m")
        case .authorities:
            Term(
                "ca", .anyText, "A file with the authorities that are believed about a `url`",
                byDefault: "the system's")
        }
    }
}

enum TokenSignerKey: Int, LanguageKey {
    case name, issuer, keys, subject, lifetime

    static let table = makeTable("token signer")

    var term: Term {
        switch self {
        case .name: Term("name", .name, "What upstreams call it", required: true)
        case .issuer: Term("issuer", .anyText, "The tokens' `iss`", required: true)
        case .keys:
            Term(
                "keys", .anyText,
                "A folder of `weir token keys rotate`: `signing.pem` signs, `jwks.json` is "
                    + "published; both are watched like the configuration",
                required: true)
        case .subject:
            Term(
                "subject", .anyText, "The tokens' `sub`",
                byDefault: "the SPIFFE ID that Weir shows to the upstream")
        case .lifetime:
            Term(
                "lifetime", .duration(offAllowed: false),
                "From `iat` to `exp`; at half of it there is a new token", byDefault: "5m")
        }
    }
}

enum AttachTokenKey: Int, LanguageKey {
    case issuer, audience, file

    static let table = makeTable("attached token", oneOf: ["issuer", "file"])

    var term: Term {
        switch self {
        case .issuer: Term("issuer", .name, "The token signer that makes it")
        case .audience: Term("audience", .anyText, "Its `aud`; goes with `issuer`")
        case .file:
            Term(
                "file", .anyText,
                "A file with a token, which is watched like the configuration; others must not be "
                    + "able to read it")
        }
    }
}
