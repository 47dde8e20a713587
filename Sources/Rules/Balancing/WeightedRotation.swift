/// Round robin by weight. Each turn an item's weight is added to its credit, and it is chosen when
/// that reaches the largest weight: in every round each is chosen as often as its weight says, and
/// the choices of a heavy one lie apart.
///
/// A choice takes as many steps as it passes items, which is `count × largest / sum` on average.
public struct WeightedRotation: Sendable {
    private var weights: [UInt32] = []
    private var credits: [UInt32] = []
    private var largest: UInt32 = 0
    private var position = 0

    public init() {}

    public var isEmpty: Bool { weights.isEmpty }

    /// Takes new weights, each from 1. Credits are kept where there are as many as before.
    ///
    /// - draw: any random number; where the credits begin, so that not all workers choose the same.
    public mutating func set(_ newWeights: [UInt32], draw: UInt64) {
        let isSameCount = newWeights.count == weights.count
        weights = newWeights
        largest = max(newWeights.max() ?? 1, 1)
        if isSameCount {
            for index in credits.indices where credits[index] >= largest {
                credits[index] %= largest
            }
            return
        }
        // Steps of the golden ratio: those of neighbours lie apart.
        credits = weights.indices.map { index in
            let place = draw &+ UInt64(index) &* 0x9e37_79b9_7f4a_7c15
            return UInt32(truncatingIfNeeded: place.multipliedFullWidth(by: UInt64(largest)).high)
        }
        position = 0
    }

    /// The position of whose turn it is; 0 where there is none.
    public mutating func next() -> Int {
        guard !weights.isEmpty else { return 0 }
        // The largest weight is chosen each time it is passed.
        while true {
            let index = position
            position = position &+ 1 == weights.count ? 0 : position &+ 1
            let credit = credits[index] &+ weights[index]
            guard credit < largest else {
                credits[index] = credit &- largest
                return index
            }
            credits[index] = credit
        }
    }
}
