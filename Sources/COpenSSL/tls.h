#include <openssl/rand.h>
#include <openssl/ssl.h>

/* What OpenSSL has as macros, for TLS: functions of the same names with a prefix. */
static inline long weir_SSL_CTX_set_mode(SSL_CTX *context, long mode) {
    return SSL_CTX_set_mode(context, mode);
}
static inline int weir_SSL_CTX_set_min_proto_version(SSL_CTX *context, int version) {
    return (int)SSL_CTX_set_min_proto_version(context, version);
}
static inline long weir_SSL_CTX_set_session_cache_mode(SSL_CTX *context, long mode) {
    return SSL_CTX_set_session_cache_mode(context, mode);
}
static inline void weir_SSL_CTX_set_read_ahead(SSL_CTX *context, int on) {
    SSL_CTX_set_read_ahead(context, on);
}
static inline int weir_SSL_CTX_add1_chain_cert(SSL_CTX *context, X509 *certificate) {
    return (int)SSL_CTX_add1_chain_cert(context, certificate);
}
static inline int weir_SSL_CTX_set1_groups_list(SSL_CTX *context, const char *groups) {
    return (int)SSL_CTX_set1_groups_list(context, groups);
}
static inline int weir_SSL_set_tlsext_host_name(SSL *ssl, const char *name) {
    return (int)SSL_set_tlsext_host_name(ssl, name);
}
static inline void weir_SSL_CTX_set_servername_callback(
    SSL_CTX *context, int (*callback)(SSL *, int *, void *), void *argument) {
    SSL_CTX_set_tlsext_servername_callback(context, callback);
    SSL_CTX_set_tlsext_servername_arg(context, argument);
}
static inline void weir_BIO_set_retry_read(BIO *bio) { BIO_set_retry_read(bio); }
static inline void weir_BIO_set_retry_write(BIO *bio) { BIO_set_retry_write(bio); }
static inline void weir_BIO_clear_retry_flags(BIO *bio) { BIO_clear_retry_flags(bio); }
static inline int weir_certificate_count(const STACK_OF(X509) *stack) {
    return stack ? sk_X509_num(stack) : 0;
}
static inline X509 *weir_certificate_at(const STACK_OF(X509) *stack, int index) {
    return sk_X509_value(stack, index);
}
/* The SSL whose handshake a chain is verified for. */
static inline SSL *weir_SSL_of_verification(X509_STORE_CTX *verification) {
    return X509_STORE_CTX_get_ex_data(verification, SSL_get_ex_data_X509_STORE_CTX_idx());
}
#include <openssl/core_names.h>
#include <openssl/params.h>

static inline void *weir_ticket_keys(SSL *ssl) { return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)); }
static inline void weir_set_ticket_keys(SSL_CTX *context, void *keys) {
    SSL_CTX_set_app_data(context, keys);
}
/* Readies the MAC of a session ticket: HMAC with SHA-256. */
static inline int weir_ticket_mac_init(EVP_MAC_CTX *mac, const unsigned char *key, size_t count) {
    OSSL_PARAM parameters[2];
    parameters[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0);
    parameters[1] = OSSL_PARAM_construct_end();
    return EVP_MAC_init(mac, key, count, parameters);
}

/* Options that are macros with casts. Never a second handshake, never compression; the server's order of ciphers, but
   ChaCha20 first for those who prefer it. */
static inline void weir_SSL_CTX_harden(SSL_CTX *context) {
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION
        | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
}
static inline void weir_SSL_CTX_forbid_tickets(SSL_CTX *context) {
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context, 0);
}

/* Another random source, for simulations; and OpenSSL's own, for who has none. Deprecated, with nothing in their place
   that a process could set for itself. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static inline int weir_set_random_source(const RAND_METHOD *source) { return RAND_set_rand_method(source); }
static inline int weir_random_bytes(unsigned char *bytes, int count) { return RAND_OpenSSL()->bytes(bytes, count); }
#pragma GCC diagnostic pop
