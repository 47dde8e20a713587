/* The client of the soak: gRPC calls at a steady rate whose every byte is known, in one thread.
 *
 * usage: load CLEAR_PORT SEALED_PORT PEM BUNDLE CONNECTIONS STREAMS RATE SEED
 *
 * Half of the connections are in TLS and show the certificate in PEM. A call has a number, which is its
 * x-request-id; kind, size, and each byte of its messages follow from number and seed. Its answer must
 * be the same bytes with its own number before and behind. Standard output, a line each:
 *
 *   second KEY=N...        every second: totals so far
 *   failed call=NUMBER kind=status|reset|lost code=N
 *   wrong call=NUMBER WORDS
 *   hung call=NUMBER       without an answer 15 s after its deadline
 *   refused sealed=0|1     a connection that was not to be had
 *   turned                 after SIGUSR1: connections in TLS are new, with the certificate as it is
 *   total KEY=N...         the last, after SIGTERM: no call is open any more
 *
 * Also counted: calls that the client cancels or leaves with its connection (about one in a hundred),
 * and those that are made again because GOAWAY or REFUSED_STREAM said that nobody had seen them. */
#define _GNU_SOURCE
#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    STREAM_WINDOW = 256 << 10,
    CONNECTION_WINDOW = 1 << 20,
    BLOCK_SIZE = 1 << 20, /* a power of two */
    BODY_MAX = 512 << 10,
    PREFIX_SIZE = 5,
    ID_SIZE = 16,
    CALLS_OF_A_CONNECTION = 1000, /* to five times as many */
    RUDE_ONE_IN = 5,              /* connections that end with their calls open */
    BUCKETS = 64 * 4,
};
static const uint64_t SECOND = 1000000000, MILLISECOND = 1000000;
static const uint64_t PATIENCE = 25 * 1000000000ull; /* the deadline is 10 s */
static const uint64_t PAUSE = 40 * 1000000ull;       /* between the messages of a slow call */

struct call {
    struct connection *connection;
    int32_t stream; /* 0: free */
    uint64_t number, begun, cancel_at, next_at;
    uint32_t message, messages, length; /* bytes of a message, how many, and of the whole body */
    uint32_t allowed, sent, received;
    int status;   /* grpc-status, -1 until it came */
    int numbered; /* 1: x-call was right, 2: x-call-end */
    bool is_stream, is_deferred, is_wrong, is_cancelled, is_hung;
};

struct connection {
    struct link link; /* .fd is -1 between two connections */
    struct call *calls;
    int open;
    uint64_t left, opened, reopen_at; /* calls that it may still make; times */
    bool is_sealed, is_leaving, is_ready, is_rude;
};

static struct {
    uint64_t calls, ok, failed, cancelled, left, again, wrong, hung, connects, refused, bytes;
} counts;
static uint64_t latencies[BUCKETS], slowest;
static uint8_t block[BLOCK_SIZE + BODY_MAX];
static struct connection *connections;
static int connection_count, stream_count, open_calls;
static uint16_t ports[2];
static const char *pem, *bundle;
static uint64_t chance, seed;
static volatile sig_atomic_t is_stopping, is_to_turn;
static uint64_t turned_at; /* 0: nobody waits for new connections */
static nghttp2_session_callbacks *callbacks;

#define FIELD(name, value, length)                                                                 \
    {(uint8_t *)name, (uint8_t *)value, sizeof(name) - 1, length, NGHTTP2_NV_FLAG_NO_COPY_NAME}
#define WORD(name, value) FIELD(name, value, sizeof(value) - 1)

/* What a call's body is. Each message is framed as gRPC does it, and its first bytes are the call's
 * number where there is room; the rest is a place of the block, which the number gives. */

static uint64_t place(const struct call *call) {
    uint64_t state = call->number ^ seed;
    return draw(&state) & (BLOCK_SIZE - 1);
}

static size_t fill_some(const struct call *call, uint32_t position, uint8_t *out, size_t room) {
    uint32_t index = position / (call->message + PREFIX_SIZE);
    uint32_t within = position % (call->message + PREFIX_SIZE);
    uint8_t head[PREFIX_SIZE + 8] = {0};
    uint32_t big = htonl(call->message);
    memcpy(head + 1, &big, 4);
    memcpy(head + PREFIX_SIZE, &call->number, 8);
    uint32_t head_size = call->message >= 8 ? sizeof head : PREFIX_SIZE;
    const uint8_t *from = head + within;
    size_t count = head_size - within;
    if (within >= head_size) {
        from = block + place(call) + index * call->message + within;
        count = call->message + PREFIX_SIZE - within;
    }
    if (count > room) count = room;
    memcpy(out, from, count);
    return count;
}

static void fill(const struct call *call, uint32_t position, uint8_t *out, size_t length) {
    while (length > 0) {
        size_t count = fill_some(call, position, out, length);
        position += count, out += count, length -= count;
    }
}

static void note_wrong(struct call *call, const char *what, uint64_t at) {
    if (call->is_wrong) return;
    call->is_wrong = true;
    counts.wrong++;
    printf("wrong call=%016" PRIx64 " %s at=%" PRIu64 " length=%u received=%u stream=%d\n",
           call->number, what, at, call->length, call->received, call->stream);
}

static void note_failed(const struct call *call, const char *kind, int64_t code) {
    counts.failed++;
    printf("failed call=%016" PRIx64 " kind=%s code=%" PRId64 "\n", call->number, kind, code);
}

static void note_latency(uint64_t elapsed) {
    uint64_t us = elapsed / 1000 + 1;
    int bits = 63 - __builtin_clzll(us);
    int quarter = bits >= 2 ? (int)(us >> (bits - 2) & 3) : 0;
    latencies[bits * 4 + quarter]++;
    if (elapsed > slowest) slowest = elapsed;
}

/* Microseconds below which this share of the calls was answered, to a quarter. */
static uint64_t latency_at(double share) {
    uint64_t sum = 0, all = 0;
    for (int i = 0; i < BUCKETS; i++) all += latencies[i];
    for (int i = 0; i < BUCKETS; i++) {
        sum += latencies[i];
        if (sum > 0 && (double)sum >= share * (double)all)
            return (uint64_t)((1 + (i % 4 + 1) / 4.0) * (double)(1ull << i / 4));
    }
    return 0;
}

static void print_counts(const char *what) {
    printf("%s calls=%" PRIu64 " ok=%" PRIu64 " failed=%" PRIu64 " cancelled=%" PRIu64
           " left=%" PRIu64 " again=%" PRIu64 " wrong=%" PRIu64 " hung=%" PRIu64
           " connects=%" PRIu64 " refused=%" PRIu64 " bytes=%" PRIu64 " open=%d"
           " p50_us=%" PRIu64 " p99_us=%" PRIu64 " slowest_us=%" PRIu64 "\n",
           what, counts.calls, counts.ok, counts.failed, counts.cancelled, counts.left,
           counts.again, counts.wrong, counts.hung, counts.connects, counts.refused, counts.bytes,
           open_calls, latency_at(0.5), latency_at(0.99), slowest / 1000);
    fflush(stdout);
}

/* A call's end. */

static void free_call(struct call *call) {
    call->stream = 0;
    call->connection->open--;
    open_calls--;
}

static void judge(struct call *call, uint32_t code) {
    if (call->is_hung || call->is_wrong) return;
    if (call->is_cancelled) counts.cancelled++;
    else if (code == NGHTTP2_REFUSED_STREAM) counts.again++;
    else if (code != NGHTTP2_NO_ERROR) note_failed(call, "reset", code);
    else if (call->status > 0) note_failed(call, "status", call->status);
    else if (call->status < 0) note_wrong(call, "no status", 0);
    else if (call->received != call->length) note_wrong(call, "short", call->received);
    else if (call->numbered != 3) note_wrong(call, "no number", (uint64_t)call->numbered);
    else {
        counts.ok++;
        counts.bytes += call->length;
        note_latency(now_ns() - call->begun);
    }
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t code, void *user) {
    (void)user;
    struct call *call = nghttp2_session_get_stream_user_data(session, stream);
    if (call == NULL || call->stream != stream) return 0;
    judge(call, code);
    free_call(call);
    return 0;
}

/* What comes. */

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t length, uint8_t flags,
                     void *user) {
    (void)flags, (void)user;
    struct call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (call == NULL) return 0;
    char id[ID_SIZE + 1];
    snprintf(id, sizeof id, "%016" PRIx64, call->number);
    bool is_own = length == ID_SIZE && memcmp(value, id, ID_SIZE) == 0;
    if (name_length == 7 && memcmp(name, ":status", 7) == 0) {
        if (length != 3 || memcmp(value, "200", 3) != 0) note_wrong(call, "http status", 0);
    } else if (name_length == 11 && memcmp(name, "grpc-status", 11) == 0) {
        call->status = length == 1   ? value[0] - '0'
                       : length == 2 ? (value[0] - '0') * 10 + value[1] - '0'
                                     : 99;
    } else if (name_length == 6 && memcmp(name, "x-call", 6) == 0) {
        if (!is_own) note_wrong(call, "another call's headers", 0);
        call->numbered |= 1;
    } else if (name_length == 10 && memcmp(name, "x-call-end", 10) == 0) {
        if (!is_own) note_wrong(call, "another call's trailers", 0);
        call->numbered |= 2;
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *bytes,
                   size_t length, void *user) {
    (void)flags, (void)user;
    static uint8_t expected[16 << 10];
    struct call *call = nghttp2_session_get_stream_user_data(session, stream);
    if (call == NULL) return 0;
    if (length > call->length - call->received) {
        note_wrong(call, "too long", call->received + length);
        return 0;
    }
    while (length > 0) {
        size_t count = length < sizeof expected ? length : sizeof expected;
        fill(call, call->received, expected, count);
        if (memcmp(expected, bytes, count) != 0) {
            size_t at = 0;
            while (expected[at] == bytes[at]) at++;
            note_wrong(call, "byte", call->received + at);
        }
        call->received += count, bytes += count, length -= count;
    }
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    (void)session;
    struct connection *connection = user;
    if (frame->hd.type == NGHTTP2_SETTINGS) connection->is_ready = true;
    if (frame->hd.type == NGHTTP2_GOAWAY) connection->is_leaving = true;
    return 0;
}

/* What is sent. */

static ssize_t on_body(nghttp2_session *session, int32_t stream, uint8_t *buffer, size_t room,
                       uint32_t *flags, nghttp2_data_source *source, void *user) {
    (void)session, (void)stream, (void)user;
    struct call *call = source->ptr;
    size_t count = call->allowed - call->sent < room ? call->allowed - call->sent : room;
    if (count == 0 && call->sent < call->length) {
        call->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    fill(call, call->sent, buffer, count);
    call->sent += count;
    if (call->sent == call->length) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)count;
}

static uint32_t draw_size(void) {
    uint64_t kind = draw_below(&chance, 1000);
    if (kind < 100) return 0;
    if (kind < 860) return 1 + draw_below(&chance, 256);
    if (kind < 980) return 1 + draw_below(&chance, 4096);
    if (kind < 998) return 1 + draw_below(&chance, 65536);
    return 65536 + draw_below(&chance, 192 << 10);
}

static void shape(struct call *call, uint64_t now) {
    bool is_slow = draw_below(&chance, 100) == 0;
    call->is_stream = is_slow || draw_below(&chance, 10) == 0;
    call->messages = call->is_stream ? 1 + draw_below(&chance, 8) : 1;
    call->message = call->is_stream ? draw_below(&chance, 2048) : draw_size();
    call->length = (call->message + PREFIX_SIZE) * call->messages;
    call->allowed = is_slow ? call->message + PREFIX_SIZE : call->length;
    call->next_at = is_slow ? now + PAUSE : UINT64_MAX;
    bool is_cancelled = draw_below(&chance, 100) == 0;
    uint64_t patience = draw_below(&chance, (is_slow ? 200 : 2) * MILLISECOND);
    call->cancel_at = is_cancelled ? now + patience : UINT64_MAX;
}

static bool begin_call(struct connection *connection, uint64_t now) {
    struct call *call = connection->calls;
    while (call->stream != 0) call++;
    *call = (struct call){.connection = connection, .begun = now, .status = -1};
    call->number = ++counts.calls;
    shape(call, now);
    char id[ID_SIZE + 1];
    snprintf(id, sizeof id, "%016" PRIx64, call->number);
    const char *path = draw_below(&chance, 2) ? call->is_stream ? "/weir.soak.v1.Sealed/Stream"
                                                                : "/weir.soak.v1.Sealed/Echo"
                       : call->is_stream      ? "/weir.soak.v1.Clear/Stream"
                                              : "/weir.soak.v1.Clear/Echo";
    nghttp2_nv request[] = {
        WORD(":method", "POST"), WORD(":scheme", "http"), WORD(":authority", "soak.test"),
        FIELD(":path", path, strlen(path)), WORD("te", "trailers"),
        WORD("content-type", "application/grpc"), WORD("grpc-timeout", "10S"),
        FIELD("x-request-id", id, ID_SIZE)};
    if (connection->is_sealed) request[1] = (nghttp2_nv)WORD(":scheme", "https");
    nghttp2_data_provider body = {.source = {.ptr = call}, .read_callback = on_body};
    int32_t stream = nghttp2_submit_request(connection->link.session, NULL, request, 8, &body, call);
    if (stream < 0) {
        counts.calls--;
        connection->is_leaving = true;
        return false;
    }
    call->stream = stream;
    connection->open++, open_calls++;
    if (--connection->left == 0) connection->is_leaving = true;
    return true;
}

/* Connections. */

static void open_connection(struct connection *connection, uint64_t now) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(ports[connection->is_sealed]),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0) fail("socket");
    int made = connect(fd, (struct sockaddr *)&address, sizeof address);
    if (made != 0 && errno != EINPROGRESS) fail("connect");
    SSL_CTX *tls = connection->is_sealed ? current_tls(pem, bundle, false) : NULL;
    if (connection->is_sealed && tls == NULL) fail(pem);
    if (nghttp2_session_client_new(&connection->link.session, callbacks, connection) != 0)
        fail("session");
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW}};
    nghttp2_submit_settings(connection->link.session, 0, settings, 1);
    nghttp2_session_set_local_window_size(connection->link.session, 0, 0, CONNECTION_WINDOW);
    connection->is_leaving = connection->is_ready = false;
    connection->left =
        CALLS_OF_A_CONNECTION + draw_below(&chance, 4 * (uint64_t)CALLS_OF_A_CONNECTION);
    connection->is_rude = draw_below(&chance, RUDE_ONE_IN) == 0;
    connection->opened = now;
    connection->reopen_at = now + 20 * MILLISECOND;
    link_begin(&connection->link, fd, tls, false, true);
    if (connection->is_sealed) {
        SSL_set_tlsext_host_name(connection->link.ssl, "edge.example");
        SSL_set1_host(connection->link.ssl, "edge.example");
    }
    counts.connects++;
}

/* Ends the connection; calls that are open are `left` by a client that leaves, and else lost. */
static void close_connection(struct connection *connection, bool is_own) {
    if (!connection->is_ready && !is_stopping) {
        counts.refused++;
        printf("refused sealed=%d\n", connection->is_sealed);
    }
    nghttp2_session_del(connection->link.session);
    link_end(&connection->link);
    for (int i = 0; i < stream_count; i++) {
        struct call *call = &connection->calls[i];
        if (call->stream == 0) continue;
        if (is_own) counts.left++;
        else if (call->is_cancelled) counts.cancelled++;
        else if (!call->is_hung && !call->is_wrong) note_failed(call, "lost", 0);
        free_call(call);
    }
}

static void look_at_call(struct call *call, uint64_t now) {
    nghttp2_session *session = call->connection->link.session;
    if (now >= call->next_at && call->allowed < call->length) {
        call->allowed += call->message + PREFIX_SIZE;
        call->next_at = now + PAUSE;
        if (call->is_deferred) nghttp2_session_resume_data(session, call->stream);
        call->is_deferred = false;
    }
    if (now >= call->cancel_at && !call->is_cancelled) {
        call->is_cancelled = true;
        nghttp2_submit_rst_stream(session, 0, call->stream, NGHTTP2_CANCEL);
    }
    if (now - call->begun > PATIENCE && !call->is_hung) {
        call->is_hung = true;
        counts.hung++;
        printf("hung call=%016" PRIx64 " sent=%u received=%u length=%u\n", call->number,
               call->sent, call->received, call->length);
        nghttp2_submit_rst_stream(session, 0, call->stream, NGHTTP2_CANCEL);
    }
}

static void look_at(struct connection *connection, uint64_t now) {
    if (connection->link.fd < 0) {
        if (now >= connection->reopen_at && !is_stopping) open_connection(connection, now);
        return;
    }
    for (int i = 0; connection->open > 0 && i < stream_count; i++) {
        if (connection->calls[i].stream != 0) look_at_call(&connection->calls[i], now);
    }
    bool is_over = connection->is_leaving || (is_stopping && connection->is_ready);
    if ((is_over && connection->open == 0) || (connection->left == 0 && connection->is_rude))
        close_connection(connection, true);
}

/* Lets the connections in TLS go that were opened before, and says when there are others. */
static void turn_over(uint64_t now) {
    bool is_done = true;
    if (is_to_turn) turned_at = now;
    is_to_turn = 0;
    for (int i = 0; i < connection_count; i++) {
        struct connection *connection = &connections[i];
        if (!connection->is_sealed) continue;
        bool is_new = connection->link.fd >= 0 && connection->opened >= turned_at;
        if (!is_new) connection->is_leaving = true;
        is_done = is_done && is_new && connection->is_ready;
    }
    if (!is_done) return;
    turned_at = 0;
    puts("turned");
    fflush(stdout);
}

static void make_calls(uint64_t count, uint64_t now) {
    static int turn;
    for (int passed = 0; count > 0 && passed < connection_count; passed++) {
        struct connection *connection = &connections[turn++ % connection_count];
        while (count > 0 && connection->is_ready && connection->link.fd >= 0 &&
               !connection->is_leaving && connection->open < stream_count) {
            if (!begin_call(connection, now)) break;
            count--;
            /* A few at a time, so that all connections have some. */
            if (draw_below(&chance, 3) == 0) break;
        }
    }
}

static void tick(uint64_t now, uint64_t begun, uint64_t rate) {
    static uint64_t due_since, made, next_second;
    if (due_since == 0) due_since = begun, next_second = begun + SECOND;
    for (int i = 0; i < connection_count; i++) look_at(&connections[i], now);
    if (is_to_turn || turned_at > 0) turn_over(now);
    if (!is_stopping) {
        uint64_t due = (now - due_since) * rate / SECOND, before = counts.calls;
        /* What could not be made for a tenth of a second is not made up for. */
        if (due > made + rate / 10) made = due - rate / 10;
        make_calls(due - made, now);
        made += counts.calls - before;
    }
    for (int i = 0; i < connection_count; i++) {
        struct connection *connection = &connections[i];
        if (connection->link.fd >= 0 && link_flush(&connection->link) != 0)
            close_connection(connection, false);
    }
    if (now < next_second) return;
    next_second += SECOND;
    print_counts("second");
}

static void heed(int number) {
    if (number == SIGTERM) is_stopping = 1;
    else is_to_turn = 1;
}

static void make_callbacks(void) {
    if (nghttp2_session_callbacks_new(&callbacks) != 0) fail("callbacks");
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
}

static void prepare(char **arguments) {
    ports[0] = (uint16_t)atoi(arguments[1]);
    ports[1] = (uint16_t)atoi(arguments[2]);
    pem = arguments[3];
    bundle = arguments[4];
    connection_count = atoi(arguments[5]);
    stream_count = atoi(arguments[6]);
    seed = strtoull(arguments[8], NULL, 10);
    chance = seed + 1;
    uint64_t state = seed;
    for (size_t i = 0; i + 8 <= sizeof block; i += 8) {
        uint64_t word = draw(&state);
        memcpy(block + i, &word, 8);
    }
    connections = calloc((size_t)connection_count, sizeof *connections);
    for (int i = 0; connections != NULL && i < connection_count; i++) {
        connections[i].calls = calloc((size_t)stream_count, sizeof *connections[i].calls);
        if (connections[i].calls == NULL) fail("calloc");
        connections[i].link.fd = -1;
        connections[i].is_sealed = i % 2 == 1;
    }
    if (connections == NULL) fail("calloc");
}

int main(int count, char **arguments) {
    if (count != 9)
        return fprintf(stderr, "usage: load CLEAR_PORT SEALED_PORT PEM BUNDLE CONNECTIONS STREAMS "
                               "RATE SEED\n"), 2;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, heed);
    signal(SIGUSR1, heed);
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    prepare(arguments);
    make_callbacks();
    poller = epoll_create1(EPOLL_CLOEXEC);
    uint64_t rate = strtoull(arguments[7], NULL, 10), begun = now_ns(), last = begun;
    struct epoll_event events[64];
    while (!is_stopping || open_calls > 0) {
        int ready = epoll_wait(poller, events, 64, 1);
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (link_turn(&connection->link, events[i].events) != 0)
                close_connection(connection, false);
        }
        uint64_t now = now_ns();
        if (now - last < MILLISECOND) continue;
        last = now;
        tick(now, begun, rate);
    }
    for (int i = 0; i < connection_count; i++) {
        if (connections[i].link.fd >= 0) close_connection(&connections[i], true);
    }
    print_counts("total");
    return 0;
}
