internal import ArgumentParser

/// `weir ca`: a certificate authority for a mesh.
struct CA: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "A certificate authority for a mesh: SPIFFE IDs and short lifetimes.",
        discussion: """
            Its files are in one directory, ca unless --authority names another, which only its \
            owner can read. Exit status: 0 done, 1 refused, 2 a file could not be read or written.
            """,
        subcommands: [
            CAInit.self, CAIssue.self, CASignRequest.self, CARenew.self, CARevoke.self,
            CARotateRoot.self, CABundle.self, CAShow.self, CAServe.self,
        ])
}
