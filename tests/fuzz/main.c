/*
 * Runs a fuzz target over inputs at hand, in TAP: files and folders named as arguments, or the
 * folder beside the target's source that has its name and ".in". An input that breaks it ends the
 * process, so its test is the one missing.
 */
#include <dirent.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "kvsh/err.h"
#include "kvsh/fs.h"
#include "kvsh/mem.h"

enum { INPUT_LIMIT = 4 << 20 };

struct inputs {
    char **paths;
    size_t n;
};

static void add(struct inputs *in, char *path)
{
    in->paths = xrealloc(in->paths, in->n + 1, sizeof *in->paths);
    in->paths[in->n++] = path;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_folder(struct inputs *in, const char *path)
{
    size_t first = in->n;
    const struct dirent *e;
    DIR *d = opendir(path);

    if (!d)
        return;
    while ((e = readdir(d)) != NULL)
        if (e->d_name[0] != '.')
            add(in, xasprintf("%s/%s", path, e->d_name));
    closedir(d);
    if (in->n > first)
        qsort(in->paths + first, in->n - first, sizeof *in->paths, by_name);
}

/* With its exact size, so that a sanitizer sees any byte read behind it. */
static int run(const char *path)
{
    struct err err = ERR_INIT;
    size_t len;
    char *data = fs_read(path, INPUT_LIMIT, &len, &err);
    uint8_t *exact;

    if (!data) {
        printf("# %s\n", err.text);
        return -1;
    }
    exact = xmalloc(len);
    memcpy(exact, data, len);
    LLVMFuzzerTestOneInput(exact, len);
    free(exact);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    struct inputs in = {.n = 0};
    const char *top = getenv("top_srcdir");
    char *name = basename(argv[0]), *folder;
    int bad = 0;

    folder = xasprintf("%s/tests/fuzz/%s.in", top ? top : ".", name);
    if (argc < 2)
        add_folder(&in, folder);
    for (int i = 1; i < argc; i++) {
        if (fs_is_dir(argv[i]))
            add_folder(&in, argv[i]);
        else
            add(&in, xstrdup(argv[i]));
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..%zu\n", in.n);
    for (size_t i = 0; i < in.n; i++) {
        int ret = run(in.paths[i]);

        printf("%sok %zu - %s\n", ret < 0 ? "not " : "", i + 1, basename(in.paths[i]));
        bad += ret < 0;
    }
    for (size_t i = 0; i < in.n; i++)
        free(in.paths[i]);
    free(in.paths);
    free(folder);
    return bad > 0 || in.n == 0;
}
