/// Which endpoints an exchange was sent to, so that another try goes elsewhere where it can. Of
/// more than it has room for the last ones.
struct TriedEndpoints: BitwiseCopyable {
    static let countMax = 4

    /// 0 is none: endpoints' serials begin with 1.
    private var ids: (UInt32, UInt32, UInt32, UInt32) = (0, 0, 0, 0)

    var isEmpty: Bool { ids.0 == 0 }

    mutating func insert(_ id: UInt32) {
        guard !contains(id) else { return }
        ids = (id, ids.0, ids.1, ids.2)
    }

    func contains(_ id: UInt32) -> Bool {
        ids.0 == id || ids.1 == id || ids.2 == id || ids.3 == id
    }
}
