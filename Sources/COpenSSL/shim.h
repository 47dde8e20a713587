#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

/* Macros that Swift does not see, each a function of the same name with a prefix. */

/* Certificates: stacks and unions. */
static inline STACK_OF(X509) *weir_x509_stack_new(void) { return sk_X509_new_null(); }
static inline void weir_x509_stack_free(STACK_OF(X509) *stack) { sk_X509_pop_free(stack, X509_free); }
/* Takes a reference of its own. */
static inline int weir_x509_stack_push(STACK_OF(X509) *stack, X509 *one) {
    if (!X509_up_ref(one)) return 0;
    if (sk_X509_push(stack, one) > 0) return 1;
    X509_free(one);
    return 0;
}
static inline int weir_x509_stack_count(const STACK_OF(X509) *stack) { return sk_X509_num(stack); }
static inline X509 *weir_x509_stack_value(const STACK_OF(X509) *stack, int at) { return sk_X509_value(stack, at); }
static inline int weir_general_names_count(const GENERAL_NAMES *names) { return sk_GENERAL_NAME_num(names); }
static inline int weir_general_name_type(const GENERAL_NAMES *names, int at) {
    return sk_GENERAL_NAME_value(names, at)->type;
}
/* For names of types GEN_EMAIL, GEN_DNS and GEN_URI only. */
static inline const ASN1_STRING *weir_general_name_text(const GENERAL_NAMES *names, int at) {
    return sk_GENERAL_NAME_value(names, at)->d.ia5;
}
static inline int weir_usages_count(const EXTENDED_KEY_USAGE *usages) { return sk_ASN1_OBJECT_num(usages); }
static inline int weir_usage_nid(const EXTENDED_KEY_USAGE *usages, int at) {
    return OBJ_obj2nid(sk_ASN1_OBJECT_value(usages, at));
}
/* An anchor is trusted because it is configured: what its own issuer's list says is not looked for. */
static inline int weir_verify_callback(int ok, X509_STORE_CTX *context) {
    if (ok) return 1;
    int error = X509_STORE_CTX_get_error(context);
    int last = sk_X509_num(X509_STORE_CTX_get0_chain(context)) - 1;
    if (last < 1 || X509_STORE_CTX_get_error_depth(context) != last) return 0;
    if (error != X509_V_ERR_UNABLE_TO_GET_CRL && error != X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER) return 0;
    X509_STORE_CTX_set_error(context, X509_V_OK);
    return 1;
}
static inline void weir_set_verify_callback(X509_STORE_CTX *context) {
    X509_STORE_CTX_set_verify_cb(context, weir_verify_callback);
}

/* Certificates: making them. */
static inline EVP_PKEY *weir_new_ec_key(const char *curve) { return EVP_EC_gen(curve); }
static inline EVP_PKEY *weir_new_rsa_key(unsigned bits) { return EVP_RSA_gen(bits); }
static inline EVP_PKEY *weir_new_ed25519_key(void) { return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"); }
/* `issuer` NULL for what signs itself. The value is in the language of x509v3_config(5). */
static inline X509_EXTENSION *weir_new_extension(const char *name, const char *value, X509 *issuer, X509 *subject) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer != NULL ? issuer : subject, subject, NULL, NULL, 0);
    return X509V3_EXT_nconf(NULL, &context, name, value);
}
static inline int weir_request_add_extension(X509_REQ *request, X509_EXTENSION *extension) {
    STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();
    int ok = list != NULL && sk_X509_EXTENSION_push(list, extension) > 0 && X509_REQ_add_extensions(request, list);
    sk_X509_EXTENSION_free(list);
    return ok;
}
/* NULL where the request asks for no names; `critical` as X509V3_get_d2i sets it. */
static inline GENERAL_NAMES *weir_request_names(X509_REQ *request, int *critical) {
    STACK_OF(X509_EXTENSION) *list = X509_REQ_get_extensions(request);
    *critical = -1;
    if (list == NULL) return NULL;
    GENERAL_NAMES *names = X509V3_get_d2i(list, NID_subject_alt_name, critical, NULL);
    sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
    return names;
}
static inline int weir_utf8_string(void) { return MBSTRING_UTF8; }

/* Signatures (Identity/OpenSSL/SignatureKey.swift). */
static inline EVP_PKEY *weir_RSA_gen(unsigned int bits) { return EVP_RSA_gen(bits); }
static inline EVP_PKEY *weir_EC_gen(const char *curve) { return EVP_EC_gen(curve); }
static inline EVP_PKEY *weir_ED25519_gen(void) {
    return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}
static inline long weir_BIO_get_mem_data(BIO *bio, char **data) {
    return BIO_get_mem_data(bio, data);
}
/* Instead of asking a terminal for a passphrase. */
static inline int weir_no_passphrase(char *buffer, int size, int writing, void *context) {
    (void)buffer; (void)size; (void)writing; (void)context;
    return -1;
}
static inline EVP_PKEY *weir_PEM_read_PrivateKey(BIO *bio) {
    return PEM_read_bio_PrivateKey(bio, NULL, weir_no_passphrase, NULL);
}
static inline EVP_PKEY *weir_PEM_read_PUBKEY(BIO *bio) {
    return PEM_read_bio_PUBKEY(bio, NULL, weir_no_passphrase, NULL);
}
static inline int weir_PEM_write_PrivateKey(BIO *bio, EVP_PKEY *key) {
    return PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
}
