#define _GNU_SOURCE
#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_SIZE = 128 << 10,
    WRITE_SIZE = 128 << 10,
    FRAME_ROOM = 17 << 10, /* one frame of mem_send never needs more */
};

int poller;
static uint8_t input[READ_SIZE], output[WRITE_SIZE];

void fail(const char *what) {
    perror(what);
    exit(2);
}

uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t draw(uint64_t *state) {
    uint64_t value = *state += 0x9e3779b97f4a7c15;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
    value = (value ^ value >> 27) * 0x94d049bb133111eb;
    return value ^ value >> 31;
}

uint64_t draw_below(uint64_t *state, uint64_t bound) { return draw(state) % bound; }

int listen_on(uint16_t port) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0) fail("bind");
    if (listen(listener, 1024) != 0) fail("listen");
    return listener;
}

static void watch(struct link *link, uint32_t events) {
    if (link->watched == events) return;
    struct epoll_event event = {.events = events, .data.ptr = link};
    int operation = link->watched == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (epoll_ctl(poller, operation, link->fd, &event) != 0) fail("epoll_ctl");
    link->watched = events;
}

void link_begin(struct link *link, int fd, SSL_CTX *tls, bool is_server, bool is_connecting) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    link->fd = fd;
    link->watched = 0;
    link->is_connecting = is_connecting;
    link->rest = NULL;
    link->ssl = NULL;
    if (tls != NULL) {
        link->ssl = SSL_new(tls);
        if (link->ssl == NULL) fail("SSL_new");
        SSL_set_fd(link->ssl, fd);
        if (is_server) SSL_set_accept_state(link->ssl);
        else SSL_set_connect_state(link->ssl);
    }
    watch(link, is_server && tls != NULL ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

void link_end(struct link *link) {
    SSL_free(link->ssl);
    close(link->fd);
    free(link->rest);
    link->rest = NULL;
    link->ssl = NULL;
    link->fd = -1;
}

/* Of what OpenSSL says: 0 to come again later, -1 if the connection is lost. */
static ssize_t unfinished(SSL *ssl, int result) {
    int error = SSL_get_error(ssl, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

/* Returns the number of bytes that came: 0 if none are there, -1 if the connection is lost. */
static ssize_t take(struct link *link) {
    if (link->ssl != NULL) {
        ERR_clear_error();
        int count = SSL_read(link->ssl, input, READ_SIZE);
        return count > 0 ? count : unfinished(link->ssl, count);
    }
    ssize_t count = recv(link->fd, input, READ_SIZE, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    return count > 0 ? count : -1;
}

/* Returns the number of bytes that were sent: 0 if none can be, -1 if the connection is lost. */
static ssize_t give(struct link *link, const uint8_t *bytes, size_t length) {
    if (link->ssl != NULL) {
        ERR_clear_error();
        int count = SSL_write(link->ssl, bytes, (int)length);
        return count > 0 ? count : unfinished(link->ssl, count);
    }
    ssize_t count = send(link->fd, bytes, length, MSG_NOSIGNAL);
    return count < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : count;
}

/* Returns how much was not taken, or -1 if the connection is lost. */
static ssize_t put(struct link *link, const uint8_t *bytes, size_t length) {
    while (length > 0) {
        ssize_t sent = give(link, bytes, length);
        if (sent < 0) return -1;
        if (sent == 0) break;
        bytes += sent, length -= (size_t)sent;
    }
    return (ssize_t)length;
}

static int put_rest(struct link *link) {
    size_t length = link->rest_length - link->rest_offset;
    ssize_t left = put(link, link->rest + link->rest_offset, length);
    if (left < 0) return -1;
    link->rest_offset = link->rest_length - (size_t)left;
    if (left > 0) return 0;
    free(link->rest);
    link->rest = NULL;
    return 0;
}

static void keep_rest(struct link *link, const uint8_t *bytes, size_t length) {
    link->rest = malloc(length);
    if (link->rest == NULL) fail("malloc");
    memcpy(link->rest, bytes, length);
    link->rest_length = length;
    link->rest_offset = 0;
}

int link_flush(struct link *link) {
    if (link->is_connecting || (link->ssl != NULL && !SSL_is_init_finished(link->ssl))) return 0;
    if (link->rest != NULL && put_rest(link) != 0) return -1;
    while (link->rest == NULL) {
        size_t length = 0;
        while (length + FRAME_ROOM <= WRITE_SIZE) {
            const uint8_t *frames;
            ssize_t count = nghttp2_session_mem_send(link->session, &frames);
            if (count < 0) return -1;
            if (count == 0) break;
            memcpy(output + length, frames, (size_t)count);
            length += (size_t)count;
        }
        if (length == 0) break;
        ssize_t left = put(link, output, length);
        if (left < 0) return -1;
        if (left > 0) keep_rest(link, output + length - left, (size_t)left);
    }
    watch(link, link->rest == NULL ? EPOLLIN : EPOLLIN | EPOLLOUT);
    if (link->rest != NULL || nghttp2_session_want_read(link->session)) return 0;
    return nghttp2_session_want_write(link->session) ? 0 : -1;
}

static int shake_hands(struct link *link) {
    ERR_clear_error();
    int done = SSL_do_handshake(link->ssl);
    if (done == 1) return 1;
    int error = SSL_get_error(link->ssl, done);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return -1;
    watch(link, error == SSL_ERROR_WANT_WRITE ? EPOLLIN | EPOLLOUT : EPOLLIN);
    return 0;
}

int link_turn(struct link *link, uint32_t events) {
    if (link->is_connecting) {
        int error = 0;
        socklen_t length = sizeof error;
        getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &length);
        errno = error;
        if (error != 0) return -1;
        link->is_connecting = false;
    }
    if (link->ssl != NULL && !SSL_is_init_finished(link->ssl)) {
        int shaken = shake_hands(link);
        if (shaken <= 0) return shaken;
        events |= EPOLLIN;
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        /* A record that OpenSSL holds already does not show in epoll. */
        do {
            ssize_t count = take(link);
            if (count < 0) return -1;
            if (count == 0) break;
            if (nghttp2_session_mem_recv(link->session, input, (size_t)count) < 0) return -1;
        } while (link->ssl != NULL && SSL_pending(link->ssl) > 0);
    }
    return link_flush(link);
}

static int choose_h2(SSL *ssl, const unsigned char **chosen, unsigned char *length,
                     const unsigned char *offered, unsigned int offered_length, void *user) {
    static const unsigned char h2[] = "\2h2";
    (void)ssl, (void)user;
    int found = SSL_select_next_proto((unsigned char **)chosen, length, h2, 3, offered,
                                      offered_length);
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL_CTX *make_tls(const char *own, const char *bundle, bool is_server) {
    SSL_CTX *context = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
    if (context == NULL || SSL_CTX_use_certificate_chain_file(context, own) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, own, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_load_verify_locations(context, bundle, NULL) != 1) {
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_id_context(context, (const unsigned char *)"soak", 4);
    if (is_server) SSL_CTX_set_alpn_select_cb(context, choose_h2, NULL);
    else SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\2h2", 3);
    return context;
}

SSL_CTX *current_tls(const char *own, const char *bundle, bool is_server) {
    static SSL_CTX *context;
    static struct stat known[2];
    struct stat seen[2];
    if (stat(own, &seen[0]) != 0 || stat(bundle, &seen[1]) != 0) return context;
    bool is_known = context != NULL;
    for (int i = 0; i < 2; i++) {
        is_known = is_known && seen[i].st_ino == known[i].st_ino &&
                   seen[i].st_mtim.tv_sec == known[i].st_mtim.tv_sec &&
                   seen[i].st_mtim.tv_nsec == known[i].st_mtim.tv_nsec;
    }
    if (is_known) return context;
    SSL_CTX *made = make_tls(own, bundle, is_server);
    if (made == NULL) return context;
    SSL_CTX_free(context);
    context = made;
    memcpy(known, seen, sizeof known);
    return context;
}
