/// What a client is told that speaks HTTP/1, in its own words (RFC 9110, 15.6.6).
enum HTTP1Answer {
    /// The answer to HEAD.
    static var head: ByteView {
        ByteView(
            """
            HTTP/1.1 505 HTTP Version Not Supported\r
            content-type: text/plain; charset=utf-8\r
            content-length: 124\r
            connection: close\r
            \r

            """)
    }

    static var whole: ByteView {
        ByteView(
            """
            HTTP/1.1 505 HTTP Version Not Supported\r
            content-type: text/plain; charset=utf-8\r
            content-length: 124\r
            connection: close\r
            \r
            Only HTTP/2 is spoken here, without an upgrade from HTTP/1.
            With curl: --http2-prior-knowledge; in gRPC clients: plaintext.

            """)
    }
}
