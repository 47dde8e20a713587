#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
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
static inline int weir_peer_user(int fd, uid_t *user) {
    struct { pid_t process; uid_t user; gid_t group; } credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return -1;
    *user = credentials.user;
    return 0;
}

/* SIOCOUTQ: bytes of a stream socket's output that the other end has not acknowledged. */
static inline int weir_outq(int fd, int *count) { return ioctl(fd, SIOCOUTQ, count); }
