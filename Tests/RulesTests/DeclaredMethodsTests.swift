import Rules
import Testing

@Suite struct DeclaredMethodsTests {
    @Test("a method is found by its path and nothing else is")
    func find() {
        let names = (0..<1_000).map { "pkg.Service\($0 % 7)/Method\($0)" }
        let methods = DeclaredMethods(names + names)
        #expect(methods.names == names)
        for (position, name) in names.enumerated() {
            #expect(methods.position(of: Array("/\(name)".utf8).span) == position)
            #expect(methods.position(of: Array("/\(name)x".utf8).span) == nil)
            #expect(methods.position(of: Array(name.utf8).span) == nil)
        }
        #expect(methods.position(of: [UInt8]().span) == nil)
        #expect(DeclaredMethods([]).position(of: Array("/a.B/C".utf8).span) == nil)
    }
}
