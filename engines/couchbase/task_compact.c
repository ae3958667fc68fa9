/* The compaction of a bucket, which the cluster keeps no record of once it is over. */
#include "engines/couchbase/doing.h"

#include <stdlib.h>
#include <string.h>

#include "kvsh/fs.h"

#define COMPACTION_ASKED "{\"compaction\": \"asked for\"}"
#define COMPACTION_BEGUN "{\"compaction\": \"begun\"}"

static bool is_compacting(struct doing *d, int *percent)
{
    const char *bucket = json_str(d->t->args, "bucket");

    JSON_FOREACH (t, cb_part(&d->c, "tasks")) {
        const char *type = json_str(t, "type"), *of = json_str(t, "bucket");
        if (type == NULL || of == NULL || strcmp(of, bucket) != 0 ||
            (strcmp(type, "bucket_compaction") != 0 && strcmp(type, "view_compaction") != 0))
            continue;
        *percent = (int)json_int(t, "progress", -1);
        return true;
    }
    return false;
}

/* What an attempt noted: that it was about to ask, or that the cluster had agreed. */
static bool compaction_is(struct doing *d, const char *noted)
{
    return d->p->memo != NULL && strcmp(d->p->memo, noted) == 0;
}

static int note_compaction(struct doing *d, const char *text, struct err *err)
{
    if (d->p->remember == NULL || d->p->remember(d->p, text) == 0)
        return 0;
    return err_set(err, ERR_FAILED, "what is about to begin cannot be written into the journal");
}

/* Asks for it, unless an attempt before this one did. */
static int ask_to_compact(struct doing *d, struct err *err)
{
    bool purge = json_bool(d->t->args, "purge", false);
    char *name, *path;
    int percent, rc;

    if (compaction_is(d, COMPACTION_ASKED) && is_compacting(d, &percent))
        return 0;
    if (compaction_is(d, COMPACTION_BEGUN))
        return 0;
    if (note_compaction(d, COMPACTION_ASKED, err) != 0)
        return -1;
    name = http_escape(json_str(d->t->args, "bucket"));
    path = xasprintf("/pools/default/buckets/%s/controller/%s", name,
                     purge ? "unsafePurgeBucket" : "compactBucket");
    rc = cb_change(d, path, NULL, NULL, err);
    if (rc == 0)
        rc = note_compaction(d, COMPACTION_BEGUN, err);
    free(path);
    free(name);
    return rc;
}

static int do_compact(struct doing *d, struct err *err)
{
    int percent = -1, rc;

    if (ask_to_compact(d, err) != 0)
        return -1;
    time_sleep_ms(CB_STALE_MS); /* until it shows in the task list, if it is to */
    while ((rc = cb_look(d, err)) == 0 && is_compacting(d, &percent)) {
        if ((rc = cb_pause(d, percent, "the compaction", err)) != 0) {
            err_advise(err, "the compaction goes on in the cluster; 'plan execute' follows it");
            break;
        }
    }
    return rc;
}

/* Over is one that was begun and has not been seen for as long as an answer may be old. */
static enum settled compact_settled(struct doing *d, struct err *err)
{
    int percent;

    if (!compaction_is(d, COMPACTION_BEGUN))
        return SETTLED_NO; /* asking twice is harmless */
    for (int i = 0; i < 4; i++) {
        if (is_compacting(d, &percent))
            return SETTLED_NO; /* performing follows it */
        time_sleep_ms(CB_STALE_MS / 3);
        if (cb_look(d, err) != 0)
            return SETTLED_UNKNOWN;
    }
    return SETTLED_YES;
}

const struct task_type cb_compact_tasks[] = {
    {"compact", do_compact, compact_settled},
    {0},
};
