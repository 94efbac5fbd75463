/* Hands opens and ioctls of USB nodes to the test program over a socket; see preload.rs. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* The fortified headers would define the functions that are defined here. */
#undef open
#undef open64

#define NODES "/dev/bus/usb/"

struct call {
    uint64_t thread, is_ioctl, a, b, c;
};

struct answer {
    uint64_t is_ours;
    int64_t value; /* or a negative errno */
};

/* A line for each thread, made anew after a fork. */
static __thread int line = -1;
static __thread pid_t owner;

static int get_line(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = SOCKET };
    if (line >= 0 && owner == getpid())
        return line;
    line = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    owner = getpid();
    if (connect(line, (struct sockaddr *)&address, sizeof address) != 0) {
        close(line);
        line = -1;
    }
    return line;
}

/* 1 if it was answered, with *value as the call's result. */
static int ask(uint64_t is_ioctl, uint64_t a, uint64_t b, uint64_t c, long *value)
{
    struct call call = { (uint64_t)syscall(SYS_gettid), is_ioctl, a, b, c };
    struct answer answer;
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec data = { &answer, sizeof answer };
    struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    int before = errno, fd = get_line();

    if (fd < 0 || send(fd, &call, sizeof call, MSG_NOSIGNAL) != sizeof call
        || recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_WAITALL) != sizeof answer) {
        errno = ENODEV;
        *value = -1;
        return 1;
    }
    errno = before;
    if (!answer.is_ours)
        return 0;
    *value = answer.value;
    if (CMSG_FIRSTHDR(&message)) {
        int file;
        memcpy(&file, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof file);
        *value = file;
    } else if (answer.value < 0) {
        errno = (int)-answer.value;
        *value = -1;
    }
    return 1;
}

static int open_node(const char *path, int flags, mode_t mode)
{
    long value;
    if (flags == (O_RDWR | O_CLOEXEC) && strncmp(path, NODES, strlen(NODES)) == 0
        && ask(0, (uintptr_t)path, 0, 0, &value))
        return (int)value;
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static mode_t mode_of(int flags, va_list rest)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
}

#define OPEN(name)                            \
    int name(const char *path, int flags, ...) \
    {                                         \
        va_list rest;                         \
        va_start(rest, flags);                \
        mode_t mode = mode_of(flags, rest);   \
        va_end(rest);                         \
        return open_node(path, flags, mode);  \
    }

OPEN(open)
OPEN(open64)

int __open_2(const char *path, int flags)
{
    return open_node(path, flags, 0);
}

int __open64_2(const char *path, int flags)
{
    return open_node(path, flags, 0);
}

int ioctl(int fd, unsigned long request, ...)
{
    long value;
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if ((request & 0xff00) == 0x5500 && ask(1, (uint64_t)fd, (uint32_t)request, (uintptr_t)argument, &value))
        return (int)value;
    return (int)syscall(SYS_ioctl, fd, request, argument);
}
