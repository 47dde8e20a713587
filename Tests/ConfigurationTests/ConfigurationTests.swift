import Testing

@Suite struct ConfigurationTests {}
