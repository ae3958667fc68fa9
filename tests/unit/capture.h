/* What a function writes to the standard output and the standard error, for tests of what people
 * read. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void capture_fail(void)
{
    perror("the test cannot capture what is written");
    _Exit(1);
}

struct capture {
    FILE *files[2]; /* stdout, stderr */
    int saved[2];
    char *out, *err; /* after capture_end(); free both by capture_release() */
};

static inline void capture_begin(struct capture *c)
{
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < 2; i++) {
        c->files[i] = tmpfile();
        c->saved[i] = dup(i + 1);
        if (!c->files[i] || c->saved[i] < 0 || dup2(fileno(c->files[i]), i + 1) < 0)
            capture_fail();
    }
}

static inline char *capture_text(FILE *f)
{
    long size = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    char *text = size < 0 ? NULL : calloc((size_t)size + 1, 1);

    if (!text)
        capture_fail();
    rewind(f);
    if (fread(text, 1, (size_t)size, f) != (size_t)size)
        capture_fail();
    fclose(f);
    return text;
}

static inline void capture_end(struct capture *c)
{
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < 2; i++) {
        dup2(c->saved[i], i + 1);
        close(c->saved[i]);
    }
    c->out = capture_text(c->files[0]);
    c->err = capture_text(c->files[1]);
}

static inline void capture_release(struct capture *c)
{
    free(c->out);
    free(c->err);
    c->out = c->err = NULL;
}
