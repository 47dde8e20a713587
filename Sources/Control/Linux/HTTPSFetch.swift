internal import CCurl

/// One file over https, by libcurl. Blocks.
enum HTTPSFetch {
    struct Failure: Error {
        let words: String
    }

    private static let connectSeconds = 5
    private static let totalSeconds = 10

    private final class Sink {
        let limit: Int
        var bytes: [UInt8] = []

        init(limit: Int) { self.limit = limit }
    }

    /// libcurl's own set-up, once and before any other thread uses it.
    static let isReady = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

    /// The body of a 200. No redirects are followed, no cookies or credentials kept or sent.
    ///
    /// - authorities: a file in PEM; nil is the system's.
    static func get(_ url: String, authorities: String?, limit: Int) -> Result<[UInt8], Failure> {
        guard isReady, let handle = unsafe curl_easy_init() else {
            return .failure(Failure(words: "libcurl cannot be used"))
        }
        defer { unsafe curl_easy_cleanup(handle) }
        var error = [CChar](repeating: 0, count: Int(CURL_ERROR_SIZE))
        let sink = Sink(limit: limit)
        let code = unsafe error.withUnsafeMutableBufferPointer { error in
            withExtendedLifetime(sink) {
                guard unsafe set(handle, url, authorities, sink) else {
                    return CURLE_FAILED_INIT
                }
                _ = unsafe weir_curl_set_pointer(handle, CURLOPT_ERRORBUFFER, error.baseAddress)
                let code = unsafe curl_easy_perform(handle)
                _ = unsafe weir_curl_set_pointer(handle, CURLOPT_ERRORBUFFER, nil)
                return code
            }
        }
        guard code == CURLE_OK else {
            let detail = error.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            let words =
                unsafe detail.isEmpty
                ? String(cString: curl_easy_strerror(code))
                : String(decoding: detail, as: UTF8.self)
            return .failure(Failure(words: words))
        }
        let status = unsafe weir_curl_status(handle)
        guard status == 200 else { return .failure(Failure(words: "HTTP status \(status)")) }
        return .success(sink.bytes)
    }

    private static func set(
        _ handle: UnsafeMutableRawPointer, _ url: String, _ authorities: String?, _ sink: Sink
    ) -> Bool {
        let texts: [(CURLoption, String)] =
            [
                (CURLOPT_URL, url), (CURLOPT_PROTOCOLS_STR, "https"),
                (CURLOPT_USERAGENT, "weir"), (CURLOPT_PROXY, ""),
            ] + (authorities.map { [(CURLOPT_CAINFO, $0)] } ?? [])
        let numbers: [(CURLoption, Int)] = [
            (CURLOPT_FOLLOWLOCATION, 0), (CURLOPT_NOSIGNAL, 1), (CURLOPT_SSL_VERIFYPEER, 1),
            (CURLOPT_SSL_VERIFYHOST, 2), (CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2)),
            (CURLOPT_CONNECTTIMEOUT, connectSeconds), (CURLOPT_TIMEOUT, totalSeconds),
            (CURLOPT_MAXFILESIZE, sink.limit),
        ]
        for (option, text) in texts {
            guard unsafe weir_curl_set_text(handle, option, text) == CURLE_OK else { return false }
        }
        for (option, number) in numbers {
            guard unsafe weir_curl_set_number(handle, option, number) == CURLE_OK else {
                return false
            }
        }
        let context = unsafe Unmanaged.passUnretained(sink).toOpaque()
        return unsafe weir_curl_set_sink(handle, receive, context) == CURLE_OK
    }

    /// Takes bytes as they come; fewer than it was given ends the transfer.
    private static let receive:
        @convention(c) (UnsafeMutablePointer<CChar>?, Int, Int, UnsafeMutableRawPointer?) -> Int = {
            bytes, size, count, context in
            guard let bytes = unsafe bytes, let context = unsafe context else { return 0 }
            let total = size * count
            return unsafe Unmanaged<Sink>.fromOpaque(context)._withUnsafeGuaranteedRef { sink in
                guard sink.bytes.count + total <= sink.limit else { return 0 }
                unsafe sink.bytes.append(
                    contentsOf: UnsafeRawBufferPointer(start: bytes, count: total))
                return total
            }
        }
}
