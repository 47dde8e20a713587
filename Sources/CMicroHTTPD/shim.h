#include <microhttpd.h>

/* MHD_start_daemon takes its options as variable arguments, which Swift cannot pass. Connections are
   given to it one by one (MHD_add_connection). */
static inline struct MHD_Daemon *weir_http_start(unsigned connections_max, unsigned timeout_seconds,
                                                 MHD_AccessHandlerCallback handler,
                                                 MHD_RequestCompletedCallback completed,
                                                 MHD_NotifyConnectionCallback changed, void *context) {
    return MHD_start_daemon(MHD_USE_POLL | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ITC | MHD_USE_NO_LISTEN_SOCKET,
                            0, NULL, NULL, handler, context, MHD_OPTION_CONNECTION_LIMIT, connections_max,
                            MHD_OPTION_CONNECTION_TIMEOUT, timeout_seconds, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            (size_t)16384, MHD_OPTION_NOTIFY_COMPLETED, completed, NULL,
                            MHD_OPTION_NOTIFY_CONNECTION, changed, context, MHD_OPTION_END);
}

static inline int weir_http_descriptor(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

/* The library's enumerations reach Swift in several shapes; here they stay in C. */
static inline const char *weir_http_header(struct MHD_Connection *connection, const char *name) {
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static inline const char *weir_http_argument(struct MHD_Connection *connection, const char *name) {
    return MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name);
}

static inline int weir_http_is_closed(enum MHD_ConnectionNotificationCode change) {
    return change == MHD_CONNECTION_NOTIFY_CLOSED;
}

static inline struct MHD_Response *weir_http_response(const void *bytes, size_t count) {
    return MHD_create_response_from_buffer(count, (void *)bytes, MHD_RESPMEM_MUST_COPY);
}
