#include "agent/thread.h"

enum { STACK = 512 * 1024 };

int thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
    pthread_t own;
    pthread_attr_t attr;
    int rc;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    if (!thread)
        pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    rc = pthread_create(thread ? thread : &own, &attr, run, arg);
    pthread_attr_destroy(&attr);
    return rc;
}
