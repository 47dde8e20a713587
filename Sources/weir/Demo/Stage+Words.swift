internal import Peers

/// What is printed before the show and after it.
extension Stage {
    var introduction: String {
        """
        A small mesh in one process, all on 127.0.0.1. Its authority has given everybody a \
        certificate:
          \(Mesh.Member.weir.id)       the proxy, port \(port), configured by \(path)
          \(Mesh.Member.backendA.id)  a backend of the echo service, port \(first.port)
          \(Mesh.Member.backendB.id)  another one, port \(second.port)
          \(Mesh.Member.web.id)        a client that may call
          \(Mesh.Member.stranger.id)   another one, which may not

        """
    }

    /// - program: how Weir was called.
    func suggestions(_ program: String) -> String {
        let target = "localhost:\(port)"
        let identity = "-cacert $D/\(Mesh.bundleFile) -cert $D/web.pem -key $D/web.pem"
        let explain = "\(program) explain --config $D/\(Self.fileName)"
        return """

            It goes on serving. To try, from Weir's folder:

              D=\(folder.path)
              grpcurl \(identity) \\
                -proto protos/echo.proto -d '{"payload": "aGVsbG8="}' \\
                \(target) weir.echo.v1.Echo/Unary
              grpcurl \(identity) \\
                -H "authorization: Bearer $(cat $D/\(TokenDesk.tokenFile))" \\
                -proto protos/echo.proto -d '{"payload": "aGVsbG8="}' \\
                \(target) weir.echo.v1.Echo/Bidi
              curl -i --cacert $D/\(Mesh.bundleFile) --cert $D/web.pem --key $D/web.pem \\
                --data hello https://\(target)/plain/hello
              \(explain) --method weir.echo.v1.Echo/Bidi \\
                --peer \(Mesh.Member.web.id) --token-file $D/\(TokenDesk.tokenFile)
              \(explain) --method weir.echo.v1.Echo/Unary \\
                --peer \(Mesh.Member.stranger.id)
              \(program) ca show --authority $D/ca

            With stranger.pem in place of web.pem every call is refused. The token is good for \
            \(TokenDesk.lifetime / 3_600) hours.
            Change \(path) and save it: the proxy takes it over.
            Ctrl-C ends the demo.
            """
    }
}
