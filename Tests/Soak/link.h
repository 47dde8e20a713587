/* One end of an HTTP/2 connection, for both ends of the soak: a socket that does not block, TLS where
 * there is any, and libnghttp2's session. docs/soak.md says what they are for. */
#ifndef SOAK_LINK_H
#define SOAK_LINK_H
#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>

/* What a write could not take waits in `rest` until the socket is writable again. */
struct link {
    int fd;
    SSL *ssl; /* NULL in cleartext */
    nghttp2_session *session;
    uint8_t *rest;
    size_t rest_length, rest_offset;
    uint32_t watched;
    bool is_connecting;
};

/* Where the events of all links come from; their `data.ptr` is the link. */
extern int poller;

/* Prints why and ends the process. */
void fail(const char *what);

/* Nanoseconds of the monotonic clock. */
uint64_t now_ns(void);

/* The next of a row of numbers (splitmix64), and one below `bound`. */
uint64_t draw(uint64_t *state);
uint64_t draw_below(uint64_t *state, uint64_t bound);

int listen_on(uint16_t port);

/* Takes over a descriptor, and begins to watch it. */
void link_begin(struct link *link, int fd, SSL_CTX *tls, bool is_server, bool is_connecting);

/* Does what the events ask for, and sends what the session has; -1: the connection is over. */
int link_turn(struct link *link, uint32_t events);

/* Sends what the session has; -1: the connection is over. */
int link_flush(struct link *link);

/* The session is the caller's. */
void link_end(struct link *link);

/* What is in these files of PEM now: who this end is (certificate and key in one file), and whom it
 * believes; made anew where one of them has changed. NULL where they do not do. */
SSL_CTX *current_tls(const char *own, const char *bundle, bool is_server);

#endif
