#include "cli/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/shell.h"

static const int watched[] = {SIGWINCH, SIGCONT, SIGTERM, SIGHUP};
enum { WATCHED = sizeof watched / sizeof *watched };

static atomic_int interrupts;
static atomic_int answered; /* interrupts that ended a shell_pause() */
static atomic_bool noted[NSIG];
static int pipe_fd[2] = {-1, -1};
static int installed;
static struct sigaction old_int, old_pipe;
static struct sigaction old_watched[WATCHED];

static void handler(int signo)
{
    int saved = errno;

    if (signo == SIGINT)
        atomic_fetch_add(&interrupts, 1);
    else
        atomic_store(&noted[signo], true);
    if (write(pipe_fd[1], "", 1) < 0)
        errno = saved; /* full: it is readable, which is all that is wanted */
    errno = saved;
}

static void take_over(int signo, struct sigaction *old)
{
    struct sigaction sa = {.sa_handler = handler};

    sigemptyset(&sa.sa_mask);
    sigaction(signo, NULL, old);
    if (old->sa_handler != SIG_IGN)
        sigaction(signo, &sa, NULL);
}

void interrupt_install(void)
{
    static const struct sigaction ignore = {.sa_handler = SIG_IGN};

    if (installed++ > 0)
        return;
    if (pipe2(pipe_fd, O_CLOEXEC | O_NONBLOCK) < 0)
        pipe_fd[0] = pipe_fd[1] = -1;
    interrupt_reset();
    take_over(SIGINT, &old_int);
    sigaction(SIGPIPE, &ignore, &old_pipe);
}

void interrupt_uninstall(void)
{
    if (installed == 0 || --installed > 0)
        return;
    sigaction(SIGINT, &old_int, NULL);
    sigaction(SIGPIPE, &old_pipe, NULL);
    for (int i = 0; i < 2 && pipe_fd[i] >= 0; i++)
        close(pipe_fd[i]);
    pipe_fd[0] = pipe_fd[1] = -1;
}

void interrupt_reset(void)
{
    atomic_store(&interrupts, 0);
    atomic_store(&answered, 0);
    interrupt_drain();
}

void interrupt_watch(bool on)
{
    for (int i = 0; i < WATCHED; i++) {
        if (on)
            take_over(watched[i], &old_watched[i]);
        else
            sigaction(watched[i], &old_watched[i], NULL);
    }
}

bool interrupt_take(int signo)
{
    return atomic_exchange(&noted[signo], false);
}

int interrupt_fd(void)
{
    return pipe_fd[0];
}

void interrupt_drain(void)
{
    char chunk[64];

    while (pipe_fd[0] >= 0 && read(pipe_fd[0], chunk, sizeof chunk) > 0)
        continue;
}

int shell_interrupts(void)
{
    return atomic_load(&interrupts);
}

bool shell_pause(int ms)
{
    struct pollfd p = {.fd = pipe_fd[0], .events = POLLIN};
    int64_t end = time_mono_ms() + ms;

    for (;;) {
        int now = atomic_load(&interrupts);
        int64_t left = end - time_mono_ms();

        if (now > atomic_load(&answered)) {
            atomic_store(&answered, now);
            return true;
        }
        if (left <= 0)
            return false;
        if (poll(&p, 1, left > INT_MAX ? INT_MAX : (int)left) > 0)
            interrupt_drain();
    }
}
