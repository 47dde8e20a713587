/* A server of the soak: gives each call its own bytes back, in one thread.
 *
 * usage: serve PORT SEED [PEM BUNDLE]      (with TLS: who it is, and whose clients it takes)
 *
 * /weir.soak.v1.X/Echo is answered when the request has ended, /weir.soak.v1.X/Stream as it comes;
 * both with `x-call` in headers and `x-call-end` in trailers, which are the request's x-request-id.
 * One call in 500 is UNAVAILABLE, one in 2,000 is refused, and every connection says GOAWAY after some
 * thousand: what nobody may notice behind a proxy that retries. For the attacks' sake /wait is never
 * answered, /large is 1 MiB, and anything else "hello". */
#define _GNU_SOURCE
#include "link.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    STREAM_WINDOW = 256 << 10,
    CONNECTION_WINDOW = 1 << 20,
    MAX_STREAMS = 200,
    MAX_BODY = 1 << 20,
    LARGE_BODY = 1 << 20,
    ID_SIZE = 32,
    UNAVAILABLE_ONE_IN = 500,
    REFUSED_ONE_IN = 2000,
    CALLS_OF_A_CONNECTION = 5000, /* to twice as many */
};

enum kind { PLAIN, ECHO_WHOLE, ECHO_STREAM, LARGE, WAIT };

struct call {
    struct call *next, **link; /* among the connection's */
    enum kind kind;
    uint8_t *bytes;
    size_t have, room, sent;
    bool is_ended, is_answered;
    size_t id_length;
    char id[ID_SIZE];
};

struct connection {
    struct link link;
    struct call *calls;
    uint64_t left; /* calls until it says GOAWAY */
};

static uint64_t chance;

#define FIELD(name, value, length)                                                                 \
    {(uint8_t *)name, (uint8_t *)value, sizeof(name) - 1, length, NGHTTP2_NV_FLAG_NONE}
#define WORD(name, value) FIELD(name, value, sizeof(value) - 1)

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    struct connection *connection = user;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    struct call *call = calloc(1, sizeof *call);
    if (call == NULL) fail("calloc");
    call->next = connection->calls;
    call->link = &connection->calls;
    if (call->next != NULL) call->next->link = &call->next;
    connection->calls = call;
    return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call);
}

static void forget(struct call *call) {
    *call->link = call->next;
    if (call->next != NULL) call->next->link = call->link;
    free(call->bytes);
    free(call);
}

static bool ends_with(const uint8_t *value, size_t length, const char *end) {
    size_t count = strlen(end);
    return length >= count && memcmp(value + length - count, end, count) == 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t length, uint8_t flags,
                     void *user) {
    (void)flags, (void)user;
    struct call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (call == NULL) return 0;
    if (name_length == 5 && memcmp(name, ":path", 5) == 0) {
        if (ends_with(value, length, "/Echo")) call->kind = ECHO_WHOLE;
        else if (ends_with(value, length, "/Stream")) call->kind = ECHO_STREAM;
        else if (ends_with(value, length, "/large")) call->kind = LARGE;
        else if (ends_with(value, length, "/wait")) call->kind = WAIT;
    } else if (name_length == 12 && memcmp(name, "x-request-id", 12) == 0) {
        call->id_length = length < ID_SIZE ? length : ID_SIZE;
        memcpy(call->id, value, call->id_length);
    }
    return 0;
}

static int end_with_trailers(nghttp2_session *session, int32_t stream, struct call *call) {
    nghttp2_nv trailers[] = {
        WORD("grpc-status", "0"), FIELD("x-call-end", call->id, call->id_length)};
    return nghttp2_submit_trailer(session, stream, trailers, 2);
}

static ssize_t on_body(nghttp2_session *session, int32_t stream, uint8_t *buffer, size_t room,
                       uint32_t *flags, nghttp2_data_source *source, void *user) {
    (void)user;
    struct call *call = source->ptr;
    size_t whole = call->kind == LARGE ? LARGE_BODY : call->kind == PLAIN ? 6 : call->have;
    size_t count = whole - call->sent < room ? whole - call->sent : room;
    if (call->kind == LARGE) memset(buffer, 'x', count);
    else if (call->kind == PLAIN) memcpy(buffer, "hello\n" + call->sent, count);
    else if (count > 0) memcpy(buffer, call->bytes + call->sent, count);
    call->sent += count;
    if (call->sent < whole) return (ssize_t)count;
    if (call->kind == PLAIN || call->kind == LARGE) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    } else if (call->is_ended) {
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (end_with_trailers(session, stream, call) != 0) return NGHTTP2_ERR_CALLBACK_FAILURE;
    } else if (count == 0) {
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)count;
}

static int answer(nghttp2_session *session, int32_t stream, struct call *call) {
    bool is_grpc = call->kind == ECHO_WHOLE || call->kind == ECHO_STREAM;
    call->is_answered = true;
    if (is_grpc && draw_below(&chance, REFUSED_ONE_IN) == 0)
        return nghttp2_submit_rst_stream(session, 0, stream, NGHTTP2_REFUSED_STREAM);
    if (is_grpc && draw_below(&chance, UNAVAILABLE_ONE_IN) == 0) {
        nghttp2_nv only[] = {WORD(":status", "200"), WORD("content-type", "application/grpc"),
                             WORD("grpc-status", "14"), WORD("grpc-message", "as it is asked to")};
        return nghttp2_submit_response(session, stream, only, 4, NULL);
    }
    nghttp2_nv headers[] = {WORD(":status", "200"), WORD("content-type", "application/grpc"),
                            FIELD("x-call", call->id, call->id_length)};
    nghttp2_data_provider body = {.source = {.ptr = call}, .read_callback = on_body};
    return nghttp2_submit_response(session, stream, headers, is_grpc ? 3 : 1, &body);
}

static int count_down(nghttp2_session *session, struct connection *connection) {
    if (connection->left == 0 || --connection->left > 0) return 0;
    return nghttp2_submit_goaway(session, 0, nghttp2_session_get_last_proc_stream_id(session),
                                 NGHTTP2_NO_ERROR, NULL, 0);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    if (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS) return 0;
    int32_t stream = frame->hd.stream_id;
    struct call *call = nghttp2_session_get_stream_user_data(session, stream);
    if (call == NULL || call->kind == WAIT) return 0;
    bool is_request =
        frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
    if (is_request && count_down(session, user) != 0) return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) call->is_ended = true;
    if (!call->is_answered && (call->is_ended || call->kind == ECHO_STREAM))
        return answer(session, stream, call) == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
    /* Fails where nothing was waited for. */
    if (call->kind == ECHO_STREAM) nghttp2_session_resume_data(session, stream);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *bytes,
                   size_t length, void *user) {
    (void)flags, (void)user;
    struct call *call = nghttp2_session_get_stream_user_data(session, stream);
    if (call == NULL || (call->kind != ECHO_WHOLE && call->kind != ECHO_STREAM)) return 0;
    if (call->have + length > MAX_BODY)
        return nghttp2_submit_rst_stream(session, 0, stream, NGHTTP2_ENHANCE_YOUR_CALM);
    if (call->have + length > call->room) {
        call->room = (call->have + length) * 2;
        call->bytes = realloc(call->bytes, call->room);
        if (call->bytes == NULL) fail("realloc");
    }
    memcpy(call->bytes + call->have, bytes, length);
    call->have += length;
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t code, void *user) {
    (void)code, (void)user;
    struct call *call = nghttp2_session_get_stream_user_data(session, stream);
    if (call != NULL) forget(call);
    return 0;
}

static nghttp2_session_callbacks *make_callbacks(void) {
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks) != 0) fail("callbacks");
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    return callbacks;
}

static void accept_all(int listener, nghttp2_session_callbacks *callbacks, char **pem) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        SSL_CTX *tls = pem == NULL ? NULL : current_tls(pem[0], pem[1], true);
        struct connection *connection = calloc(1, sizeof *connection);
        if (connection == NULL || (pem != NULL && tls == NULL)) fail("a connection");
        connection->left = CALLS_OF_A_CONNECTION + draw_below(&chance, CALLS_OF_A_CONNECTION);
        if (nghttp2_session_server_new(&connection->link.session, callbacks, connection) != 0)
            fail("session");
        nghttp2_settings_entry settings[] = {
            {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, MAX_STREAMS},
            {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        };
        nghttp2_submit_settings(connection->link.session, 0, settings, 2);
        nghttp2_session_set_local_window_size(connection->link.session, 0, 0, CONNECTION_WINDOW);
        link_begin(&connection->link, fd, tls, true, false);
    }
}

static void destroy(struct connection *connection) {
    nghttp2_session_del(connection->link.session);
    while (connection->calls != NULL) forget(connection->calls);
    link_end(&connection->link);
    free(connection);
}

int main(int count, char **arguments) {
    if (count != 3 && count != 5)
        return fprintf(stderr, "usage: serve PORT SEED [PEM BUNDLE]\n"), 2;
    signal(SIGPIPE, SIG_IGN);
    chance = strtoull(arguments[2], NULL, 10);
    char **pem = count == 5 ? arguments + 3 : NULL;
    nghttp2_session_callbacks *callbacks = make_callbacks();
    poller = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_on((uint16_t)atoi(arguments[1]));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[64];
    if (epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event) != 0) fail("epoll_ctl");
    puts("ready");
    fflush(stdout);
    for (;;) {
        int ready = epoll_wait(poller, events, 64, -1);
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection == NULL) accept_all(listener, callbacks, pem);
            else if (link_turn(&connection->link, events[i].events) != 0) destroy(connection);
        }
    }
}
