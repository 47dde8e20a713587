#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* glibc declares these under _GNU_SOURCE. Swift's Glibc module does not set it, and a module that does
   sees fd_set with other members, so that the two cannot be imported together. No module here sets
   it. */
extern int accept4(int, struct sockaddr *, socklen_t *, int);
extern int sched_getaffinity(pid_t, size_t, cpu_set_t *);
static inline int weir_accept4(int fd, struct sockaddr *address, socklen_t *length) {
    return accept4(fd, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/* SO_PEERCRED: who is at the other end of a unix socket; struct ucred needs _GNU_SOURCE. */
static inline int weir_peer(int fd, uid_t *user, pid_t *process) {
    struct { pid_t process; uid_t user; gid_t group; } credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return -1;
    *user = credentials.user;
    *process = credentials.process;
    return 0;
}

static inline int weir_peer_user(int fd, uid_t *user) {
    pid_t process;
    return weir_peer(fd, user, &process);
}

/* SCM_RIGHTS: descriptors that go along with bytes of a unix socket. The macros for it do not reach Swift. */
#define WEIR_DESCRIPTORS_MAX 128
union weir_rights {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int) * WEIR_DESCRIPTORS_MAX)];
};

/* What sendmsg gives; at most WEIR_DESCRIPTORS_MAX descriptors. */
static inline ssize_t weir_send_rights(int fd, const void *bytes, size_t count, const int *descriptors,
                                       size_t descriptor_count) {
    union weir_rights rights;
    struct iovec part = {(void *)bytes, count};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &rights};
    if (descriptor_count == 0 || descriptor_count > WEIR_DESCRIPTORS_MAX) return -1;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * descriptor_count);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * descriptor_count);
    memcpy(CMSG_DATA(header), descriptors, sizeof(int) * descriptor_count);
    return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* What recvmsg gives, and the descriptors that came along, at most WEIR_DESCRIPTORS_MAX. -2 where
   there were more, or something else came along; what was taken of them is in the list all the same. */
static inline ssize_t weir_receive_rights(int fd, void *bytes, size_t count, int *descriptors,
                                          size_t *descriptor_count) {
    union weir_rights rights;
    struct iovec part = {bytes, count};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights};
    *descriptor_count = 0;
    ssize_t result = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (result < 0) return result;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t length = header->cmsg_len - CMSG_LEN(0);
        size_t found = length / sizeof(int);
        if (*descriptor_count + found > WEIR_DESCRIPTORS_MAX) return -2;
        memcpy(descriptors + *descriptor_count, CMSG_DATA(header), found * sizeof(int));
        *descriptor_count += found;
    }
    return message.msg_flags & MSG_CTRUNC ? -2 : result;
}

/* A descriptor that is readable once the process has ended. */
extern int pidfd_open(pid_t, unsigned int);

/* SIOCOUTQ: bytes of a stream socket's output that the other end has not acknowledged. */
static inline int weir_outq(int fd, int *count) { return ioctl(fd, SIOCOUTQ, count); }
