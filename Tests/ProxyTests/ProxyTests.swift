import Testing

@Suite struct ProxyTests {}
