// swift-tools-version: 6.2
import PackageDescription

// For Tests/Interop: a client and a server on grpc-swift-2, and tokens by JWTKit. A package of its
// own: Weir needs none of what these bring along.
let package = Package(
    name: "grpc-echo",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(url: "https://github.com/grpc/grpc-swift-2", exact: "2.4.3"),
        .package(url: "https://github.com/grpc/grpc-swift-nio-transport", exact: "2.9.2"),
        .package(url: "https://github.com/grpc/grpc-swift-protobuf", exact: "2.4.1"),
        .package(url: "https://github.com/vapor/jwt-kit", exact: "5.7.1"),
    ],
    targets: [
        .executableTarget(
            name: "grpc-echo",
            dependencies: [
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(
                    name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport"),
                .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"),
            ]),
        .executableTarget(
            name: "jwt-check", dependencies: [.product(name: "JWTKit", package: "jwt-kit")]),
    ]
)
