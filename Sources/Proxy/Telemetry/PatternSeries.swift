/// Series by place, in chunks that are made when a place of theirs is first needed: a configuration
/// may have a hundred thousand patterns, and installing it is not to wait for room for them all.
struct PatternSeries {
    private static let chunkBits = 9
    private static let chunkPlaces = 1 << chunkBits
    private var chunks: [[Borrowed<SeriesWriter>?]]

    init(count: Int) {
        chunks = Array(repeating: [], count: (count + Self.chunkPlaces - 1) >> Self.chunkBits)
    }

    /// The series of a place; `make` is called for the first.
    @inline(always)
    mutating func series(
        at place: Int, make: () -> Borrowed<SeriesWriter>
    ) -> Borrowed<SeriesWriter> {
        let chunk = place >> Self.chunkBits
        let offset = place & (Self.chunkPlaces &- 1)
        if !chunks[chunk].isEmpty, let known = chunks[chunk][offset] { return known }
        let made = make()
        if chunks[chunk].isEmpty {
            chunks[chunk] = Array(repeating: nil, count: Self.chunkPlaces)
        }
        chunks[chunk][offset] = made
        return made
    }
}
