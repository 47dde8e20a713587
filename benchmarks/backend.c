/* The backend of the benchmarks: an HTTP/2 server in one thread, on libnghttp2 and epoll, made to
 * cost little and to answer as a gRPC server does. In cleartext (prior knowledge), or with TLS,
 * where it may ask its clients for a certificate.
 *
 * usage: backend PORT [CERTIFICATE KEY [CLIENTS_CA]]
 *
 * The digits at the end of a request's path are the number of response body bytes, so
 * /weir.bench.Payload/Bytes100 is answered with HEADERS (:status 200, content-type
 * application/grpc), one message of 100 bytes and trailers (grpc-status 0);
 * /weir.bench.Payload/Stream10000x100 with 10,000 such messages, each in a DATA frame of its own.
 * A request body is read and dropped; the answer starts when the request has ended. Windows are
 * large, so that what limits a transfer is the proxy. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    STREAM_WINDOW = 4 << 20,
    CONNECTION_WINDOW = 64 << 20,
    MAX_STREAMS = 1000,
    READ_SIZE = 256 << 10,
    WRITE_SIZE = 256 << 10,
    FRAME_ROOM = 17 << 10, /* one frame of mem_send never needs more */
};

/* What a write could not take waits in `rest` until the socket is writable again. `ssl` is NULL in
 * cleartext. */
struct connection {
    int fd;
    SSL *ssl;
    nghttp2_session *session;
    uint8_t *rest;
    size_t rest_length, rest_offset;
};

/* What is left to send on a stream: so many messages of `size` bytes, of the first `left`. It is the
 * stream's user data in place of a pointer. */
struct answer {
    uint64_t messages : 18, size : 22, left : 24;
};

static int poller;
static SSL_CTX *tls;
static uint8_t input[READ_SIZE], output[WRITE_SIZE];

#define FIELD(name, value)                                                                         \
    {(uint8_t *)name, (uint8_t *)value, sizeof(name) - 1, sizeof(value) - 1,                       \
     NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE}

static const nghttp2_nv response[] = {
    FIELD(":status", "200"),
    FIELD("content-type", "application/grpc"),
};
static const nghttp2_nv trailers[] = {FIELD("grpc-status", "0")};

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static struct answer answer_of(nghttp2_session *session, int32_t stream) {
    struct answer answer;
    void *data = nghttp2_session_get_stream_user_data(session, stream);
    memcpy(&answer, &data, sizeof answer);
    return answer;
}

static void set_answer(nghttp2_session *session, int32_t stream, struct answer answer) {
    void *data;
    memcpy(&data, &answer, sizeof data);
    nghttp2_session_set_stream_user_data(session, stream, data);
}

/* The number that the bytes before `end` are, which it moves to before them. */
static size_t digits(const uint8_t *bytes, size_t *end) {
    size_t start = *end, number = 0;
    while (start > 0 && bytes[start - 1] >= '0' && bytes[start - 1] <= '9') start--;
    for (size_t i = start; i < *end; i++) number = number * 10 + (size_t)(bytes[i] - '0');
    *end = start;
    return number;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                     void *user) {
    (void)flags, (void)user;
    if (name_length != 5 || memcmp(name, ":path", 5) != 0) return 0;
    size_t size = digits(value, &value_length), messages = 1;
    if (value_length > 0 && value[value_length - 1] == 'x') {
        value_length--;
        messages = digits(value, &value_length);
    }
    set_answer(session, frame->hd.stream_id,
               (struct answer){.messages = messages, .size = size, .left = size});
    return 0;
}

static ssize_t on_body(nghttp2_session *session, int32_t stream, uint8_t *buffer, size_t room,
                       uint32_t *flags, nghttp2_data_source *source, void *user) {
    (void)source, (void)user;
    struct answer answer = answer_of(session, stream);
    size_t count = answer.left < room ? answer.left : room;
    memset(buffer, 'x', count);
    if (answer.left == answer.size && count >= 5) {
        uint32_t length = htonl((uint32_t)answer.size - 5);
        buffer[0] = 0;
        memcpy(buffer + 1, &length, 4);
    }
    answer.left -= count;
    if (answer.left == 0) {
        answer.messages--;
        answer.left = answer.size;
    }
    set_answer(session, stream, answer);
    if (answer.messages == 0) {
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (nghttp2_submit_trailer(session, stream, trailers, 1) != 0)
            return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return (ssize_t)count;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    (void)user;
    if (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS) return 0;
    if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) return 0;
    nghttp2_data_provider body = {.source = {.ptr = NULL}, .read_callback = on_body};
    return nghttp2_submit_response(session, frame->hd.stream_id, response, 2, &body);
}

static nghttp2_session_callbacks *make_callbacks(void) {
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks) != 0) fail("callbacks");
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    return callbacks;
}

static void watch(struct connection *connection, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(poller, operation, connection->fd, &event) != 0) fail("epoll_ctl");
}

static void accept_all(int listener, nghttp2_session_callbacks *callbacks) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        struct connection *connection = calloc(1, sizeof *connection);
        if (connection == NULL) fail("calloc");
        connection->fd = fd;
        if (tls != NULL) {
            connection->ssl = SSL_new(tls);
            if (connection->ssl == NULL) fail("SSL_new");
            SSL_set_fd(connection->ssl, fd);
            SSL_set_accept_state(connection->ssl);
        }
        if (nghttp2_session_server_new(&connection->session, callbacks, connection) != 0)
            fail("session");
        nghttp2_settings_entry settings[] = {
            {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, MAX_STREAMS},
            {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        };
        nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, settings, 2);
        nghttp2_session_set_local_window_size(connection->session, NGHTTP2_FLAG_NONE, 0,
                                              CONNECTION_WINDOW);
        watch(connection, EPOLL_CTL_ADD, tls == NULL ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
}

static void destroy(struct connection *connection) {
    nghttp2_session_del(connection->session);
    SSL_free(connection->ssl);
    close(connection->fd);
    free(connection->rest);
    free(connection);
}

/* Of what SSL_read and SSL_write say: 0 to come again later, -1 if the connection is lost. */
static ssize_t unfinished(SSL *ssl, int result) {
    int error = SSL_get_error(ssl, result);
    ERR_clear_error();
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

/* Returns the number of bytes that came: 0 if none are there, -1 if the connection is lost. */
static ssize_t take(struct connection *connection) {
    if (connection->ssl != NULL) {
        int count = SSL_read(connection->ssl, input, READ_SIZE);
        return count > 0 ? count : unfinished(connection->ssl, count);
    }
    ssize_t count = recv(connection->fd, input, READ_SIZE, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    return count > 0 ? count : -1;
}

/* Returns the number of bytes that were sent: 0 if none can be, -1 if the connection is lost. */
static ssize_t give(struct connection *connection, const uint8_t *bytes, size_t length) {
    if (connection->ssl != NULL) {
        int count = SSL_write(connection->ssl, bytes, (int)length);
        return count > 0 ? count : unfinished(connection->ssl, count);
    }
    ssize_t count = send(connection->fd, bytes, length, MSG_NOSIGNAL);
    return count < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : count;
}

/* Returns what was not taken, or -1 if the connection is lost. */
static ssize_t put(struct connection *connection, const uint8_t *bytes, size_t length) {
    while (length > 0) {
        ssize_t sent = give(connection, bytes, length);
        if (sent < 0) return -1;
        if (sent == 0) break;
        bytes += sent, length -= (size_t)sent;
    }
    return (ssize_t)length;
}

static int keep_rest(struct connection *connection, const uint8_t *bytes, size_t length) {
    connection->rest = malloc(length);
    if (connection->rest == NULL) return -1;
    memcpy(connection->rest, bytes, length);
    connection->rest_length = length;
    connection->rest_offset = 0;
    watch(connection, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    return 0;
}

static int put_rest(struct connection *connection) {
    size_t length = connection->rest_length - connection->rest_offset;
    ssize_t left = put(connection, connection->rest + connection->rest_offset, length);
    if (left < 0) return -1;
    connection->rest_offset = connection->rest_length - (size_t)left;
    if (left > 0) return 0;
    free(connection->rest);
    connection->rest = NULL;
    return 0;
}

static int flush(struct connection *connection, uint32_t events) {
    if (connection->rest != NULL && put_rest(connection) != 0) return -1;
    while (connection->rest == NULL) {
        size_t length = 0;
        while (length + FRAME_ROOM <= WRITE_SIZE) {
            const uint8_t *frames;
            ssize_t count = nghttp2_session_mem_send(connection->session, &frames);
            if (count < 0) return -1;
            if (count == 0) break;
            memcpy(output + length, frames, (size_t)count);
            length += (size_t)count;
        }
        if (length == 0) break;
        ssize_t left = put(connection, output, length);
        if (left < 0) return -1;
        if (left > 0) return keep_rest(connection, output + length - left, (size_t)left);
    }
    if (connection->rest == NULL && (events & EPOLLOUT)) watch(connection, EPOLL_CTL_MOD, EPOLLIN);
    return nghttp2_session_want_read(connection->session) ? 0 : -1;
}

static int serve(struct connection *connection, uint32_t events) {
    if (connection->ssl != NULL && !SSL_is_init_finished(connection->ssl)) {
        int done = SSL_do_handshake(connection->ssl);
        if (done != 1) return (int)unfinished(connection->ssl, done);
        events |= EPOLLIN;
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        /* A record that OpenSSL holds already does not show in epoll. */
        do {
            ssize_t count = take(connection);
            if (count < 0) return -1;
            if (count == 0) break;
            if (nghttp2_session_mem_recv(connection->session, input, (size_t)count) < 0) return -1;
        } while (connection->ssl != NULL && SSL_pending(connection->ssl) > 0);
    }
    return flush(connection, events);
}

static int listen_on(uint16_t port) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0) fail("bind");
    if (listen(listener, 4096) != 0) fail("listen");
    return listener;
}

static int choose_h2(SSL *ssl, const unsigned char **chosen, unsigned char *length,
                     const unsigned char *offered, unsigned int offered_length, void *user) {
    static const unsigned char h2[] = "\2h2";
    (void)ssl, (void)user;
    int found = SSL_select_next_proto((unsigned char **)chosen, length, h2, 3, offered,
                                      offered_length);
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL_CTX *make_tls(const char *certificate, const char *key, const char *clients_ca) {
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL || SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
        fail(certificate);
    SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set_alpn_select_cb(context, choose_h2, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (clients_ca != NULL) {
        if (SSL_CTX_load_verify_locations(context, clients_ca, NULL) != 1) fail(clients_ca);
        /* Without this a client that resumes is refused, where clients are verified. */
        SSL_CTX_set_session_id_context(context, (const unsigned char *)"backend", 7);
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    return context;
}

int main(int count, char **arguments) {
    if (count != 2 && count != 4 && count != 5)
        return fprintf(stderr, "usage: backend PORT [CERTIFICATE KEY [CLIENTS_CA]]\n"), 2;
    signal(SIGPIPE, SIG_IGN);
    if (count > 2) tls = make_tls(arguments[2], arguments[3], count == 5 ? arguments[4] : NULL);
    nghttp2_session_callbacks *callbacks = make_callbacks();
    poller = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_on((uint16_t)atoi(arguments[1]));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
    if (epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event) != 0) fail("epoll_ctl");
    for (;;) {
        int ready = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection == NULL) accept_all(listener, callbacks);
            else if (serve(connection, events[i].events) != 0) destroy(connection);
        }
    }
}
