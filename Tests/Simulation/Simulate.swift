import TestKit

/// `simulate FIRST COUNT [direct]`: runs seeds and says which fail; exit status 1 if any does.
@main
struct Simulate {
    static func main() {
        let arguments = CommandLine.arguments
        let first = arguments.count > 1 ? UInt64(arguments[1]) ?? 1 : 1
        let count = arguments.count > 2 ? UInt64(arguments[2]) ?? 1 : 1
        let isDirect = arguments.count > 3 && arguments[3] == "direct"
        var failures = 0
        var (calls, complete, steps) = (0, 0, 0)
        var occurrences = Occurrences()
        for seed in first..<first + count {
            let report =
                isDirect ? Simulation.runDirectly(seed: seed) : Simulation.run(seed: seed)
            calls += report.calls
            complete += report.complete
            steps += report.steps
            occurrences = occurrences + report.occurrences
            if !report.violations.isEmpty {
                failures += 1
                print(count == 1 ? report.text : "seed \(seed): \(report.violations[0])")
            }
        }
        print("\(count) seeds, \(failures) failed, \(calls) calls, \(complete) complete")
        print("\(steps) steps")
        for (name, count) in occurrences.counts.sorted(by: { $0.key < $1.key }) {
            print("\(name): \(count)")
        }
        let faults = isDirect ? [] : occurrences.faults(ofSeeds: count)
        for fault in faults { print(fault) }
        if failures + faults.count > 0 { exitWithFailure() }
    }
}
