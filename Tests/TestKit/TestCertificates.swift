/// Certificates for tests, good from 2025 to 2125, EC P-256; nobody else's keys.
public enum TestCertificates {
    /// The authority of trust domain mesh.example.
    public static let authority = """
        -----BEGIN CERTIFICATE-----
        MIIBlTCCATygAwIBAgIUODAlMAWNG+Nu6GtEmOkqH8Mi1IIwCgYIKoZIzj0EAwIw
        FzEVMBMGA1UEAwwMbWVzaC5leGFtcGxlMCAXDTI1MDEwMTAwMDAwMFoYDzIxMjUw
        MTAxMDAwMDAwWjAXMRUwEwYDVQQDDAxtZXNoLmV4YW1wbGUwWTATBgcqhkjOPQIB
        BggqhkjOPQMBBwNCAATKctd3uh4wbV0hg/OQdPaRzomRe36Ffgf961mBCN7C05vC
        D9KosPUq5KTsTOagXRb8F9fZ7UqPeLlHlC+Dh/EWo2QwYjAPBgNVHRMBAf8EBTAD
        AQH/MA4GA1UdDwEB/wQEAwIBBjAdBgNVHQ4EFgQU6Yvd3drAKzg7JE7QulZQWAYq
        wRMwIAYDVR0RBBkwF4YVc3BpZmZlOi8vbWVzaC5leGFtcGxlMAoGCCqGSM49BAMC
        A0cAMEQCIFqfbStD+Wf5oDmlv5TPFaKss3Q1CuVUWrin+JujcXhkAiB075pyE/FH
        W3Dg/1SMtodLFjWM6+r2dTX6Cr8vCW5Okg==
        -----END CERTIFICATE-----
        """
    /// spiffe://mesh.example/weir
    public static let weir = """
        -----BEGIN CERTIFICATE-----
        MIIB4DCCAYagAwIBAgIUPcHJWyl9fihKGFgx/TaD5mf1eD8wCgYIKoZIzj0EAwIw
        FzEVMBMGA1UEAwwMbWVzaC5leGFtcGxlMCAXDTI1MDEwMTAwMDAwMFoYDzIxMjUw
        MTAxMDAwMDAwWjAPMQ0wCwYDVQQDDAR3ZWlyMFkwEwYHKoZIzj0CAQYIKoZIzj0D
        AQcDQgAEp9Phde41pQxEfgifDgzjrvPG997xFLQbWbKvGdVclyUNNade/IW3Ig0e
        Qn7BPLWuia711pG7xhAYu+JbGlwg5qOBtTCBsjAMBgNVHRMBAf8EAjAAMA4GA1Ud
        DwEB/wQEAwIHgDAdBgNVHSUEFjAUBggrBgEFBQcDAQYIKwYBBQUHAwIwHwYDVR0j
        BBgwFoAU6Yvd3drAKzg7JE7QulZQWAYqwRMwHQYDVR0OBBYEFLTcCGovi6Xp9vB0
        LHYLBmNpQcwaMDMGA1UdEQQsMCqGGnNwaWZmZTovL21lc2guZXhhbXBsZS93ZWly
        ggx3ZWlyLmV4YW1wbGUwCgYIKoZIzj0EAwIDSAAwRQIhAJYDryX/Gejj8gQIFw+B
        Xq0YKib94QJC7Lvaqz6fcbraAiAA6aEVsOKtjBfbSPV+JSHAm3cDlCxtgt+52RxH
        LdJKiA==
        -----END CERTIFICATE-----
        """
    /// Its key.
    public static let weirKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg7LW/2OTxy/ZRg76c
        OhjKi2jUrWAt/YmrJQ/0o5HXNOShRANCAASn0+F17jWlDER+CJ8ODOOu88b33vEU
        tBtZsq8Z1VyXJQ01p178hbciDR5CfsE8ta6JrvXWkbvGEBi74lsaXCDm
        -----END PRIVATE KEY-----
        """
    /// spiffe://mesh.example/web
    public static let web = """
        -----BEGIN CERTIFICATE-----
        MIIB0DCCAXagAwIBAgIUcPtDv62oTSeZou4/1hI1tQW+5HswCgYIKoZIzj0EAwIw
        FzEVMBMGA1UEAwwMbWVzaC5leGFtcGxlMCAXDTI1MDEwMTAwMDAwMFoYDzIxMjUw
        MTAxMDAwMDAwWjAOMQwwCgYDVQQDDAN3ZWIwWTATBgcqhkjOPQIBBggqhkjOPQMB
        BwNCAARhRYjHJVY5VNFaUCfRXO5xtN+a4rp117nE7GHdoLq1RyuGf4bpuMn2J17q
        G1vpApcX34Jz4qmT4a4DJhCHD9Z1o4GmMIGjMAwGA1UdEwEB/wQCMAAwDgYDVR0P
        AQH/BAQDAgeAMB0GA1UdJQQWMBQGCCsGAQUFBwMBBggrBgEFBQcDAjAfBgNVHSME
        GDAWgBTpi93d2sArODskTtC6VlBYBirBEzAdBgNVHQ4EFgQUeVg0sSecb33adgYi
        2UJvChayf+YwJAYDVR0RBB0wG4YZc3BpZmZlOi8vbWVzaC5leGFtcGxlL3dlYjAK
        BggqhkjOPQQDAgNIADBFAiEAjQgqm/KLb0d9RzQEpWUivj20ByDPiX0jOQNNVtCI
        Y/ACIGkHIGzGWDhfjmnmvD/D9yPwUjTdhG2r+Uw3vlSe+eqN
        -----END CERTIFICATE-----
        """
    /// Its key.
    public static let webKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgkliHP3mKRaiMX2J5
        KSjGD25aqhR6oo9AhvSvw0PPA7uhRANCAARhRYjHJVY5VNFaUCfRXO5xtN+a4rp1
        17nE7GHdoLq1RyuGf4bpuMn2J17qG1vpApcX34Jz4qmT4a4DJhCHD9Z1
        -----END PRIVATE KEY-----
        """
    /// spiffe://mesh.example/orders
    public static let orders = """
        -----BEGIN CERTIFICATE-----
        MIIB5zCCAYygAwIBAgIUZdtdf/V0gLUTwMk8VNTI2+aRu/AwCgYIKoZIzj0EAwIw
        FzEVMBMGA1UEAwwMbWVzaC5leGFtcGxlMCAXDTI1MDEwMTAwMDAwMFoYDzIxMjUw
        MTAxMDAwMDAwWjARMQ8wDQYDVQQDDAZvcmRlcnMwWTATBgcqhkjOPQIBBggqhkjO
        PQMBBwNCAARL34zvAKyTLddyCFTs/CK+SZ0zI9pw38Ibfaw3eHpRLeo+NpmiLxg9
        HreZ2GEKV/CbA9u/5POUwzZRsjxyt+Rzo4G5MIG2MAwGA1UdEwEB/wQCMAAwDgYD
        VR0PAQH/BAQDAgeAMB0GA1UdJQQWMBQGCCsGAQUFBwMBBggrBgEFBQcDAjAfBgNV
        HSMEGDAWgBTpi93d2sArODskTtC6VlBYBirBEzAdBgNVHQ4EFgQU5bNL/UCmdsPm
        s+3JXRy1947TjQAwNwYDVR0RBDAwLoYcc3BpZmZlOi8vbWVzaC5leGFtcGxlL29y
        ZGVyc4IOb3JkZXJzLmV4YW1wbGUwCgYIKoZIzj0EAwIDSQAwRgIhAOy92hnBmygN
        yYhj33A94YaRleSNcQoAI8NFmR2Q9pC2AiEAgDcXZmxCVQylLPh0qUT5nLy6TN9R
        D5vvMI0DEZh8UFU=
        -----END CERTIFICATE-----
        """
    /// Its key.
    public static let ordersKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgedq7uCnPccmvp4Zu
        PEU7suiT8oh/EZXnyAk8HcnmQTmhRANCAARL34zvAKyTLddyCFTs/CK+SZ0zI9pw
        38Ibfaw3eHpRLeo+NpmiLxg9HreZ2GEKV/CbA9u/5POUwzZRsjxyt+Rz
        -----END PRIVATE KEY-----
        """
}
