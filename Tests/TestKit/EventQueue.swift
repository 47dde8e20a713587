/// What will happen, by time; things due at the same time happen in the order they were added.
struct EventQueue {
    private struct Entry {
        let time: Int64
        let order: Int
        let action: () -> Void

        func precedes(_ other: Entry) -> Bool { (time, order) < (other.time, other.order) }
    }

    private var heap: [Entry] = []
    private var nextOrder = 0

    var nextTime: Int64? { heap.first?.time }
    var count: Int { heap.count }

    mutating func add(at time: Int64, _ action: @escaping () -> Void) {
        heap.append(Entry(time: time, order: nextOrder, action: action))
        nextOrder += 1
        var index = heap.count - 1
        while index > 0, heap[index].precedes(heap[(index - 1) / 2]) {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    mutating func removeFirst() -> (() -> Void)? {
        guard let first = heap.first else { return nil }
        let last = heap.removeLast()
        if heap.isEmpty { return first.action }
        heap[0] = last
        var index = 0
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2]
            where child < heap.count && heap[child].precedes(heap[least]) { least = child }
            if least == index { return first.action }
            heap.swapAt(index, least)
            index = least
        }
    }

    mutating func removeAll() { heap.removeAll() }
}
