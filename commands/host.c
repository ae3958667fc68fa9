#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/commands.h"
#include "commands/program.h"
#include "commands/session.h"
#include "kvsh/fs.h"
#include "kvsh/meta.h"
#include "kvsh/run.h"

/* What the shell asks of the session: shell.h, struct shell_host. */

#define PLANS_OFFERED 50

/* A plan that the store's engine does not make is refused before anything of it is looked at. */
static int fits_store(struct session *s, const struct cmd *cmd, struct err *err)
{
    const struct engine *e;
    struct err ignored = ERR_INIT;
    enum verb verb;

    if (strncmp(cmd->name, "plan ", 5) != 0 || verb_by_word(cmd->name + 5, &verb) != 0 ||
        session_waits_for_host(s) || (e = session_engine(s, &ignored)) == NULL)
        return 0;
    return plan_fits(e, verb, err);
}

static bool available(struct session *s, const struct cmd *cmd)
{
    struct err ignored = ERR_INIT;

    return fits_store(s, cmd, &ignored) == 0;
}

static int prepare(struct session *s, const struct cmd *cmd, struct err *err)
{
    struct journal *j;

    if (!(cmd->needs & CMD_STORE))
        return 0;
    session_leave_copy(s);
    if ((j = session_journal(s, err)) == NULL || fits_store(s, cmd, err) != 0)
        return -1;
    if (journal_reconcile(j, err) >= 0)
        return 0;
    session_leave_journal(s); /* what cannot be written any more can still be read */
    err_clear(err);
    return session_journal(s, err) != NULL ? 0 : -1;
}

/* A journal that can only be read is worth a word, unless it is what failed. */
static char *notice(struct session *s, const struct err *outcome)
{
    const struct err *why = session_copied(s);

    if (why == NULL || strstr(outcome->text, why->text) != NULL)
        return NULL;
    return xasprintf("%s; it can be looked at, and nothing is kept%s%s", why->text,
                     why->advice[0] ? "; " : "", why->advice);
}

/* --- completion --- */

struct offer {
    void (*add)(void *arg, const char *candidate);
    void *arg;
    size_t count; /* documents offered so far */
};

/* The journal, when that needs neither a network nor a new file. */
static struct journal *quiet_journal(struct session *s)
{
    struct err err = ERR_INIT;
    char *dir = NULL;
    bool exists = false;

    if (session_waits_for_host(s))
        return NULL;
    if (session_store(s, &err) != NULL)
        dir = session_store_dir(s, session_store_name(s), &err);
    exists = dir != NULL && fs_is_dir(dir);
    free(dir);
    return exists ? session_journal(s, &err) : NULL;
}

static void offer_name(void *arg, const char *name)
{
    struct offer *o = arg;

    o->add(o->arg, name);
    o->count++;
}

static void offer_docs(struct journal *j, const char *kind, const char *member, struct offer *o)
{
    struct err err = ERR_INIT;

    journal_doc_names(j, kind, member, offer_name, o, &err);
}

/* Services of a store that declares none here: as they were seen last. */
static void offer_observed(struct journal *j, struct offer *o)
{
    struct json *states = NULL;
    struct err err = ERR_INIT;
    int64_t time;

    if (journal_last_observed(j, &states, &time, &err) == 0) {
        JSON_FOREACH (state, states)
            o->add(o->arg, json_key(state));
    }
    json_free(states);
}

static void offer_plan(void *arg, const struct plan *p)
{
    struct offer *o = arg;
    char id[32];

    snprintf(id, sizeof id, "%lld", (long long)p->id);
    o->add(o->arg, id);
}

static void offer_stores(struct session *s, struct offer *o)
{
    struct err err = ERR_INIT;
    const struct settings *st = session_settings(s, &err);

    for (size_t i = 0; st != NULL && i < st->n_stores; i++)
        o->add(o->arg, st->stores[i].name);
}

static void complete(struct session *s, enum completer what,
                     void (*add)(void *arg, const char *candidate), void *arg)
{
    static const struct {
        const char *kind, *member;
    } docs[] = {
        [COMPLETE_ZONE_ID] = {"zone", NULL}, [COMPLETE_ZONE_NAME] = {"zone", "name"},
        [COMPLETE_NODE] = {"sn", NULL},      [COMPLETE_POOL] = {"pool", NULL},
        [COMPLETE_SERVICE] = {"rn", NULL},   [COMPLETE_TOPOLOGY] = {"topology", NULL},
    };
    const struct plan_filter newest = {.num = PLANS_OFFERED, .state = -1};
    struct offer o = {.add = add, .arg = arg};
    struct err err = ERR_INIT;
    struct journal *j;

    if (what == COMPLETE_STORE) {
        offer_stores(s, &o);
        return;
    }
    if ((j = quiet_journal(s)) == NULL)
        return;
    if (what == COMPLETE_PLAN)
        journal_plan_list(j, &newest, offer_plan, &o, &err);
    else if ((size_t)what < sizeof docs / sizeof *docs && docs[what].kind != NULL)
        offer_docs(j, docs[what].kind, docs[what].member, &o);
    if (what == COMPLETE_SERVICE) {
        if (o.count == 0)
            offer_observed(j, &o);
        offer_docs(j, "admin", NULL, &o);
    }
}

struct shell_host session_shell_host(struct session *s)
{
    return (struct shell_host){
        .session = s,
        .cmds = commands,
        .program = &program,
        .prepare = prepare,
        .notice = notice,
        .complete = complete,
        .available = available,
    };
}
