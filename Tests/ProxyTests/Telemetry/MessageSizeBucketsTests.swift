import Testing

@testable import Proxy

@Suite struct MessageSizeBucketsTests {
    @Test("a size is in the bucket of the first bound that is not below it")
    func positions() {
        let bounds = MessageSizeBuckets.bounds
        #expect(bounds == bounds.sorted() && bounds.count == MessageSizeBuckets.count - 1)
        for bound in bounds {
            for size in [bound &- 1, bound, bound + 1] where size <= bound + 1 {
                let expected = bounds.firstIndex { $0 >= size } ?? bounds.count
                #expect(MessageSizeBuckets.position(size) == expected, "\(size)")
            }
        }
        #expect(MessageSizeBuckets.position(.max) == bounds.count)
    }
}
