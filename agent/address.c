#include "agent/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int address_resolve(const char *host, char ip[ADDRESS_MAX], struct err *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *ai = NULL, *best;
    int rc = *host ? getaddrinfo(host, NULL, &hints, &ai) : EAI_NONAME;

    best = ai;
    while (best && best->ai_family != AF_INET)
        best = best->ai_next;
    best = best ? best : ai;
    if (rc == 0)
        rc = getnameinfo(best->ai_addr, best->ai_addrlen, ip, ADDRESS_MAX, NULL, 0, NI_NUMERICHOST);
    if (ai)
        freeaddrinfo(ai);
    if (rc != 0)
        return err_set(err, ERR_INPUT, "\"%s\" is no address of a host: %s", host,
                       gai_strerror(rc));
    return 0;
}

bool address_is_loopback(const char *host)
{
    char ip[ADDRESS_MAX];
    struct err err = ERR_INIT;

    if (address_resolve(host, ip, &err) < 0)
        return false;
    return strncmp(ip, "127.", 4) == 0 || strcmp(ip, "::1") == 0;
}

bool address_is_wildcard(const char *ip)
{
    return strcmp(ip, "0.0.0.0") == 0 || strcmp(ip, "::") == 0;
}

static int bound_socket(const char *ip, int port)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *ai = NULL;
    char service[16];
    int fd, one = 1;

    snprintf(service, sizeof service, "%d", port);
    if (getaddrinfo(ip, service, &hints, &ai) != 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd >= 0 && bind(fd, ai->ai_addr, ai->ai_addrlen) < 0) {
        int errnum = errno;

        close(fd);
        fd = -1;
        errno = errnum;
    }
    freeaddrinfo(ai);
    return fd;
}

int address_listen(const char *ip, int port, struct err *err)
{
    int fd = bound_socket(ip, port);

    if (fd >= 0 && listen(fd, 128) == 0)
        return fd;
    if (errno == EADDRINUSE) {
        err_set(err, ERR_FAILED, "port %d of %s is in use by another process", port, ip);
        err_advise(err, "end that process, or configure another -port");
    } else {
        err_errno(err, ERR_FAILED, errno, "listen on %s port %d", ip, port);
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

int address_probe(const char *ip, int port)
{
    int fd = bound_socket(ip, port);
    int errnum = fd < 0 || listen(fd, 1) < 0 ? errno : 0;

    if (fd >= 0)
        close(fd);
    return errnum;
}
