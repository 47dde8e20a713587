// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that Weir's has no target that only libFuzzer can start. The sources are
// those of the main package, by links.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
    name: "weir-fuzz",
    targets: [
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl"),
        .target(name: "Wire", swiftSettings: settings),
        .target(name: "Identity", dependencies: ["Wire", "COpenSSL"], swiftSettings: settings),
        .target(name: "FuzzTargets", dependencies: ["Wire", "Identity"], swiftSettings: settings),
        // Without a main of its own: libFuzzer has it.
        .executableTarget(
            name: "fuzz", dependencies: ["FuzzTargets"],
            swiftSettings: settings + [.unsafeFlags(["-parse-as-library"])]),
    ])
