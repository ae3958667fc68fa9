#include "agent/metadata.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

#include "agent/services.h"

#define METADATA_LIMIT ((size_t)32 << 20)

/* The files of all admins here; *n of them. free() each and the array. */
static char **copies(struct agent *a, size_t *n)
{
    char **paths = xcalloc(SERVICES_MAX, sizeof *paths);

    *n = 0;
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->n_services; i++) {
        char *dir;

        if (a->services[i]->kind != SERVICE_ADMIN)
            continue;
        dir = admin_env_dir(a, a->services[i]->id);
        paths[(*n)++] = xasprintf("%s/metadata.json", dir);
        free(dir);
    }
    pthread_mutex_unlock(&a->lock);
    return paths;
}

static void copies_free(char **paths, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(paths[i]);
    free(paths);
}

static struct json *copy_read(const char *path)
{
    struct err err = ERR_INIT;
    size_t len;
    char *text = access(path, F_OK) == 0 ? fs_read(path, METADATA_LIMIT, &len, &err) : NULL;
    struct json *j = text ? json_parse(text, len, &err) : NULL;

    free(text);
    if (j && (json_int(j, "version", 0) < 1 || !json_is_object(json_get(j, "docs")))) {
        json_free(j);
        j = NULL;
    }
    return j;
}

static struct json *newest(char **paths, size_t n)
{
    struct json *best = NULL;

    for (size_t i = 0; i < n; i++) {
        struct json *j = copy_read(paths[i]);

        if (j && (!best || json_int(j, "version", 0) > json_int(best, "version", 0))) {
            json_free(best);
            best = j;
        } else {
            json_free(j);
        }
    }
    return best;
}

void metadata_load(struct agent *a)
{
    size_t n;
    char **paths = copies(a, &n);
    struct json *j = newest(paths, n);

    pthread_mutex_lock(&a->lock);
    a->metadata_version = json_int(j, "version", 0);
    pthread_mutex_unlock(&a->lock);
    json_free(j);
    copies_free(paths, n);
}

struct json *metadata_summary(const struct agent *a)
{
    for (size_t i = 0; i < a->n_services; i++) {
        const struct service *s = a->services[i];
        struct json *j;
        char *dir;

        if (s->kind != SERVICE_ADMIN)
            continue;
        j = json_object();
        dir = admin_env_dir(a, s->id);
        json_set_str(j, "admin", s->id);
        json_set_str(j, "dir", dir);
        json_set_int(j, "version", a->metadata_version);
        free(dir);
        return j;
    }
    return json_null();
}

int metadata_get(struct agent *a, struct json **doc, struct problem *pb)
{
    size_t n;
    char **paths = copies(a, &n);

    pthread_mutex_lock(&a->metadata_lock);
    *doc = newest(paths, n);
    pthread_mutex_unlock(&a->metadata_lock);
    copies_free(paths, n);
    if (*doc)
        return 0;
    return problem_set(pb, PROBLEM_NOT_FOUND,
                       n ? "the admin here keeps no metadata yet"
                         : "there is no admin on this node");
}

static int check_version(struct agent *a, int64_t version, int64_t if_match, struct problem *pb)
{
    int64_t kept;

    pthread_mutex_lock(&a->lock);
    kept = a->metadata_version;
    pthread_mutex_unlock(&a->lock);
    if ((if_match < 0 || if_match == kept) && version >= kept)
        return 0;
    problem_set(pb, PROBLEM_STALE_METADATA, "the metadata kept here has version %lld",
                (long long)kept);
    return problem_advise(pb, "fetch it and make the change anew");
}

static int write_copies(char **paths, size_t n, const char *text, struct problem *pb)
{
    struct err err = ERR_INIT;

    for (size_t i = 0; i < n; i++) {
        char *dir = xstrndup(paths[i], (size_t)(strrchr(paths[i], '/') - paths[i]));
        int rc = fs_mkdirs(dir, 0700, &err);

        free(dir);
        if (rc == 0)
            rc = fs_write_atomic(paths[i], text, strlen(text), 0600, &err);
        if (rc < 0)
            return problem_from_err(pb, PROBLEM_INTERNAL, &err);
    }
    return 0;
}

int metadata_put(struct agent *a, const struct json *doc, int64_t if_match, struct problem *pb)
{
    int64_t version = json_int(doc, "version", 0);
    size_t n;
    char **paths = copies(a, &n);
    char *text = NULL;
    int rc = -1;

    pthread_mutex_lock(&a->metadata_lock);
    if (n == 0) {
        problem_set(pb, PROBLEM_NOT_FOUND, "there is no admin on this node");
        goto out;
    }
    if (check_version(a, version, if_match, pb) < 0)
        goto out;
    text = json_print(doc);
    rc = write_copies(paths, n, text, pb);
    if (rc == 0) {
        pthread_mutex_lock(&a->lock);
        a->metadata_version = version;
        pthread_mutex_unlock(&a->lock);
    }
out:
    pthread_mutex_unlock(&a->metadata_lock);
    free(text);
    copies_free(paths, n);
    return rc;
}
