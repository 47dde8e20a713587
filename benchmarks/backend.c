/* The backend of the benchmarks: an HTTP/2 server (cleartext, prior knowledge) in one thread, on
 * libnghttp2 and epoll, made to cost little and to answer as a gRPC server does.
 *
 * usage: backend PORT
 *
 * The digits at the end of a request's path are the number of response body bytes, so
 * /weir.bench.Payload/Bytes100 is answered with HEADERS (:status 200, content-type
 * application/grpc), 100 bytes of DATA and trailers (grpc-status 0). A request body is read and
 * dropped; the answer starts when the request has ended. Windows are large, so that what limits
 * a transfer is the proxy. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
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

/* What a write could not take waits in `rest` until the socket is writable again. */
struct connection {
    int fd;
    nghttp2_session *session;
    uint8_t *rest;
    size_t rest_length, rest_offset;
};

static int poller;
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

/* A stream's user data is no pointer: it is the number of body bytes still to be sent. */
static size_t remaining(nghttp2_session *session, int32_t stream) {
    return (size_t)(uintptr_t)nghttp2_session_get_stream_user_data(session, stream);
}

static void set_remaining(nghttp2_session *session, int32_t stream, size_t length) {
    nghttp2_session_set_stream_user_data(session, stream, (void *)(uintptr_t)length);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                     void *user) {
    (void)flags, (void)user;
    if (name_length != 5 || memcmp(name, ":path", 5) != 0) return 0;
    size_t start = value_length, length = 0;
    while (start > 0 && value[start - 1] >= '0' && value[start - 1] <= '9') start--;
    for (size_t i = start; i < value_length; i++) length = length * 10 + (value[i] - '0');
    set_remaining(session, frame->hd.stream_id, length);
    return 0;
}

static ssize_t on_body(nghttp2_session *session, int32_t stream, uint8_t *buffer, size_t room,
                       uint32_t *flags, nghttp2_data_source *source, void *user) {
    (void)source, (void)user;
    size_t left = remaining(session, stream);
    size_t count = left < room ? left : room;
    memset(buffer, 'x', count);
    set_remaining(session, stream, left - count);
    if (left == count) {
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
        if (nghttp2_session_server_new(&connection->session, callbacks, connection) != 0)
            fail("session");
        nghttp2_settings_entry settings[] = {
            {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, MAX_STREAMS},
            {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        };
        nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, settings, 2);
        nghttp2_session_set_local_window_size(connection->session, NGHTTP2_FLAG_NONE, 0,
                                              CONNECTION_WINDOW);
        watch(connection, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
    }
}

static void destroy(struct connection *connection) {
    nghttp2_session_del(connection->session);
    close(connection->fd);
    free(connection->rest);
    free(connection);
}

/* Returns what was not taken, or -1 if the connection is lost. */
static ssize_t put(int fd, const uint8_t *bytes, size_t length) {
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) break;
        if (sent < 0 && errno != EINTR) return -1;
        if (sent > 0) bytes += sent, length -= (size_t)sent;
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
    ssize_t left = put(connection->fd, connection->rest + connection->rest_offset, length);
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
        ssize_t left = put(connection->fd, output, length);
        if (left < 0) return -1;
        if (left > 0) return keep_rest(connection, output + length - left, (size_t)left);
    }
    if (connection->rest == NULL && (events & EPOLLOUT)) watch(connection, EPOLL_CTL_MOD, EPOLLIN);
    return nghttp2_session_want_read(connection->session) ? 0 : -1;
}

static int serve(struct connection *connection, uint32_t events) {
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        ssize_t count = recv(connection->fd, input, READ_SIZE, 0);
        if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) return -1;
        if (count > 0 && nghttp2_session_mem_recv(connection->session, input, (size_t)count) < 0)
            return -1;
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

int main(int count, char **arguments) {
    if (count != 2) return fprintf(stderr, "usage: backend PORT\n"), 2;
    signal(SIGPIPE, SIG_IGN);
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
