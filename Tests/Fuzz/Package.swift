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
        .systemLibrary(name: "CNghttp2"),
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1"),
        .systemLibrary(name: "CPCRE2", pkgConfig: "libpcre2-8"),
        .systemLibrary(name: "CLinux"),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl"),
        .target(name: "Wire", swiftSettings: settings),
        .target(name: "Identity", dependencies: ["Wire", "COpenSSL"], swiftSettings: settings),
        .target(
            name: "Rules", dependencies: ["Wire", "Identity", "CPCRE2"], swiftSettings: settings),
        .target(
            name: "Configuration", dependencies: ["Wire", "Identity", "Rules", "CYAML"],
            swiftSettings: settings),
        .target(
            name: "Proxy",
            dependencies: [
                "Wire", "Identity", "Rules", "Configuration", "CNghttp2", "CLinux", "COpenSSL",
            ], swiftSettings: settings),
        .target(
            name: "Peers", dependencies: ["Wire", "CNghttp2", "COpenSSL"], swiftSettings: settings),
        .target(
            name: "TestKit",
            dependencies: [
                "Proxy", "Peers", "Configuration", "Identity", "Rules", "Wire", "COpenSSL",
            ], swiftSettings: settings),
        .target(
            name: "FuzzTargets",
            dependencies: ["Wire", "Identity", "Rules", "Configuration", "Proxy", "TestKit"],
            swiftSettings: settings),
        // Without a main of its own: libFuzzer has it.
        .executableTarget(
            name: "fuzz", dependencies: ["FuzzTargets"],
            swiftSettings: settings + [.unsafeFlags(["-parse-as-library"])]),
    ])
