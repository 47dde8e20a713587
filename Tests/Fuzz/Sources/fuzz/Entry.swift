internal import FuzzTargets
internal import Glibc

/// FUZZ_TARGET names what is to be fuzzed.
private let target: FuzzTarget = {
    let name = unsafe getenv("FUZZ_TARGET").map { unsafe String(cString: $0) } ?? ""
    if let target = FuzzTarget.named(name) { return target }
    print("FUZZ_TARGET is to be one of \(FuzzTarget.all.map(\.name).joined(separator: ", "))")
    exit(2)
}()

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
    guard let fault = target.fault(bytes) else { return 0 }
    print("\(target.name): \(fault)")
    unsafe fflush(nil)
    abort()
}
