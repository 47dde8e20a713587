// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
    name: "weir",
    products: [.executable(name: "weir", targets: ["weir"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
    ],
    targets: [
        // Linked statically (its module map): calls into it are a third of a request.
        .systemLibrary(name: "CNghttp2", providers: [.apt(["libnghttp2-dev"])]),
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(
            name: "CPCRE2", pkgConfig: "libpcre2-8", providers: [.apt(["libpcre2-dev"])]),
        .systemLibrary(name: "CLinux"),
        .systemLibrary(
            name: "CMicroHTTPD", pkgConfig: "libmicrohttpd",
            providers: [.apt(["libmicrohttpd-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(
            name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "CAres", pkgConfig: "libcares", providers: [.apt(["libc-ares-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
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
            name: "Control",
            dependencies: [
                "Wire", "Identity", "Rules", "Configuration", "Proxy", "Peers", "CLinux",
                "CMicroHTTPD", "CZlib", "CCurl", "CAres",
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: settings),
        .target(
            name: "Peers", dependencies: ["Wire", "CNghttp2", "COpenSSL"], swiftSettings: settings),
        .executableTarget(
            name: "weir",
            dependencies: [
                "Wire", "Identity", "Rules", "Configuration", "Proxy", "Control", "Peers",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: settings),
        .testTarget(name: "WireTests", dependencies: ["Wire"], swiftSettings: settings),
        .testTarget(
            name: "IdentityTests", dependencies: ["Identity", "Wire"], swiftSettings: settings),
        .testTarget(
            name: "RulesTests", dependencies: ["Rules", "Identity", "Wire"],
            swiftSettings: settings),
        .testTarget(
            name: "ConfigurationTests",
            dependencies: ["Configuration", "Identity", "Rules", "Wire", "TestKit"],
            exclude: ["Golden"], swiftSettings: settings),
        .testTarget(
            name: "ProxyTests",
            dependencies: [
                "Proxy", "Configuration", "Identity", "Rules", "Wire", "TestKit", "CNghttp2",
            ], swiftSettings: settings),
        .testTarget(
            name: "ControlTests",
            dependencies: ["Control", "Proxy", "Configuration", "Rules", "Wire", "CLinux"],
            swiftSettings: settings),
        .target(
            name: "TestKit",
            dependencies: [
                "Proxy", "Peers", "Configuration", "Identity", "Rules", "Wire", "COpenSSL",
            ],
            path: "Tests/TestKit", swiftSettings: settings),
        .executableTarget(
            name: "simulate", dependencies: ["TestKit"], path: "Tests/Simulation",
            swiftSettings: settings),
        .target(
            name: "FuzzTargets",
            dependencies: ["Wire", "Identity", "Rules", "Configuration", "Proxy", "TestKit"],
            path: "Tests/FuzzTargets", swiftSettings: settings),
        .testTarget(name: "FuzzTests", dependencies: ["FuzzTargets"], swiftSettings: settings),
        .testTarget(
            name: "PeersTests", dependencies: ["Peers", "Identity", "TestKit"],
            swiftSettings: settings),
        .testTarget(
            name: "SimulationTests", dependencies: ["TestKit"], swiftSettings: settings),
        .testTarget(name: "TidyTests", swiftSettings: settings),
    ])
