/* Threads with a small stack. */
#pragma once

#include <pthread.h>

/* Runs run(arg) in a thread, detached when thread is NULL; 0 or an errno value. */
int thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg);
