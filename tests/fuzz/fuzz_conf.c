/* Any file is a configuration or an error that names file and line; an edit of a good one takes,
 * and leaves all other entries alone. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "kvsh/conf.h"
#include "kvsh/fs.h"
#include "kvsh/mem.h"

static char folder[64], path[96];

static void clean(void)
{
    unlink(path);
    rmdir(folder);
}

/* In memory where there is such a place: an edit waits for the disk. */
static void make_folder(void)
{
    if (*folder)
        return;
    snprintf(folder, sizeof folder, "%s/kvsh-fuzz.XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    FUZZ_CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/kvsh.conf", folder);
    atexit(clean);
}

static void write_file(const uint8_t *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    FUZZ_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
}

static bool is_edited(const struct conf_entry *e)
{
    return strcmp(e->section, "kvsh") == 0 && !*e->name && strcmp(e->key, "color") == 0;
}

static size_t others(const struct conf *c)
{
    size_t n = 0;

    for (size_t i = 0; i < conf_count(c); i++)
        n += !is_edited(conf_at(c, i));
    return n;
}

static void check_edit(const struct conf *before)
{
    struct err err = ERR_INIT;
    struct conf *after;
    const char *value;

    if (conf_edit_key(path, "kvsh", "", "color", "never", &err) < 0) {
        FUZZ_CHECK(*err.text);
        return;
    }
    after = conf_new();
    FUZZ_CHECK(conf_read(after, path, true, &err) == 0);
    value = conf_get(after, "kvsh", "", "color");
    FUZZ_CHECK(value != NULL && strcmp(value, "never") == 0);
    FUZZ_CHECK(others(after) == others(before));
    conf_free(after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf *c = conf_new();
    struct err err = ERR_INIT;

    make_folder();
    write_file(data, size);
    if (conf_read(c, path, true, &err) < 0) {
        FUZZ_CHECK(err.code == ERR_INPUT && *err.text);
    } else {
        for (size_t i = 0; i < conf_count(c); i++) {
            const struct conf_entry *e = conf_at(c, i);
            FUZZ_CHECK(e->section && e->name && e->key && e->value && e->file && e->line > 0);
        }
        check_edit(c);
    }
    conf_free(c);
    return 0;
}
