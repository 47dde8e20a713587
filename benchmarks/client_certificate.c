/* Preloaded into h2load, which knows no client certificates: every TLS context gets the certificate
 * $LOAD_CERTIFICATE with the key $LOAD_KEY. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <openssl/ssl.h>
#include <stdlib.h>

SSL_CTX *SSL_CTX_new(const SSL_METHOD *method) {
    SSL_CTX *(*make)(const SSL_METHOD *) = dlsym(RTLD_NEXT, "SSL_CTX_new");
    SSL_CTX *context = make(method);
    if (context == NULL) return NULL;
    if (SSL_CTX_use_certificate_chain_file(context, getenv("LOAD_CERTIFICATE")) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, getenv("LOAD_KEY"), SSL_FILETYPE_PEM) != 1)
        abort();
    return context;
}
