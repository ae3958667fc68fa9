#include "fake_cmds.h"

#include <stdlib.h>
#include <string.h>

#include "cli/complete.h"
#include "cli/help.h"
#include "cli/history.h"
#include "cli/selftest.h"
#include "kvsh/buf.h"

/* --- options as of plans --- */

struct wait_opts {
    bool wait;
    int64_t timeout;
    const char *reason;
};

static const struct opt wait_options[] = {
    OPT_FLAG(struct wait_opts, wait, "wait", "wait until the plan has ended"),
    OPT_SECONDS(struct wait_opts, timeout, "timeout", "how long to wait", .max = 86400,
                .def = 60000),
    OPT_STR(struct wait_opts, reason, "reason", "why, for the history", .value = "TEXT"),
    OPT_END,
};

static const struct out_col done_cols[] = {
    {"text", "TEXT", OUT_STR, "what was done"},
    {"count", "COUNT", OUT_INT, "how many words there were"},
    {"tookMs", "TOOK", OUT_DURATION, "how long it was to take"},
    {0},
};
static const struct out_table done_table = {.cols = done_cols, .text = "{text}", .single = true};
static const struct out_table *const done_tables[] = {&done_table, NULL};

static struct out_row *done(struct out *out, const char *text)
{
    struct out_row *row = out_row(out, &done_table);

    out_str(row, "text", text);
    return row;
}

/* --- plan --- */

struct zone_opts {
    const char *name;
    int64_t rf;
    const char *type;
    struct wait_opts plan;
};

static const char *const zone_types[] = {"primary", "secondary", NULL};
static const struct opt zone_options[] = {
    OPT_STR(struct zone_opts, name, "name", "name of the zone", .flags = OPT_REQUIRED),
    OPT_INT(struct zone_opts, rf, "rf", "copies of each shard in this zone", .min = 1, .max = 20,
            .flags = OPT_REQUIRED),
    OPT_CHOICE(struct zone_opts, type, "type", "kind of the zone", .choices = zone_types),
    OPT_GROUP(struct zone_opts, plan, struct wait_opts, wait_options),
    OPT_END,
};

static int run_zone(struct session *s, const void *options, struct out *out, struct err *err)
{
    const struct zone_opts *o = options;

    (void)s;
    (void)err;
    out_strf(done(out, NULL), "text", "zone %s rf %d %s wait %d timeout %d reason %s", o->name,
             (int)o->rf, o->type ? o->type : "-", o->plan.wait, (int)o->plan.timeout,
             o->plan.reason ? o->plan.reason : "-");
    return 0;
}

static const char *const zone_examples[] = {"plan deploy-zone -name Boston -rf 3 -wait", NULL};
static const struct cmd plan_deploy_zone = {
    .name = "plan deploy-zone",
    .summary = "add a zone to the store",
    .description =
        "Adds a zone. Storage nodes are put into it by \"plan deploy-sn\", which comes next in "
        "every runbook.\n\nThe number of copies cannot be made smaller later.",
    .options = zone_options,
    .options_size = sizeof(struct zone_opts),
    .tables = done_tables,
    .examples = zone_examples,
    .run = run_zone,
};

struct stop_opts {
    struct words services;
    bool all;
    const char *zone_id, *zone_name;
    struct wait_opts plan;
};

static const struct opt stop_options[] = {
    OPT_LIST(struct stop_opts, services, "service", "service to stop", .value = "ID", .one_of = 1,
             .flags = OPT_REQUIRED, .complete = COMPLETE_SERVICE),
    OPT_FLAG(struct stop_opts, all, "all-rns", "all replication nodes", .one_of = 1,
             .flags = OPT_REQUIRED),
    OPT_STR(struct stop_opts, zone_id, "zn", "only those of the zone with this id", .value = "ID",
            .one_of = 2, .complete = COMPLETE_ZONE_ID),
    OPT_STR(struct stop_opts, zone_name, "znname", "only those of the zone with this name",
            .one_of = 2, .complete = COMPLETE_ZONE_NAME),
    OPT_GROUP(struct stop_opts, plan, struct wait_opts, wait_options),
    OPT_END,
};

static int run_stop(struct session *s, const void *options, struct out *out, struct err *err)
{
    const struct stop_opts *o = options;

    (void)s;
    (void)err;
    out_strf(done(out, NULL), "text", "stop %d services, first %s, all %d, zone %s",
             (int)o->services.n, o->services.n ? o->services.v[0] : "-", o->all,
             o->zone_id ? o->zone_id : "-");
    return 0;
}

static const struct cmd plan_stop_service = {
    .name = "plan stop-service",
    .summary = "stop services",
    .description = "Stops services and remembers that they were stopped on purpose.",
    .options = stop_options,
    .options_size = sizeof(struct stop_opts),
    .tables = done_tables,
    .needs = CMD_STORE,
    .run = run_stop,
};

static const struct cmd plan_start_service = {
    .name = "plan start-service",
    .summary = "start services",
    .description = "Starts services.",
    .options = stop_options,
    .options_size = sizeof(struct stop_opts),
    .tables = done_tables,
    .needs = CMD_STORE,
    .run = run_stop,
};

struct params_opts {
    const char *service;
    struct words params;
};

static const struct opt params_options[] = {
    OPT_STR(struct params_opts, service, "service", "service to change", .value = "ID",
            .flags = OPT_REQUIRED, .complete = COMPLETE_SERVICE),
    OPT_REST(struct params_opts, params, "params", "what to set", .value = "NAME=VALUE",
             .flags = OPT_REQUIRED),
    OPT_END,
};

static int run_params(struct session *s, const void *options, struct out *out, struct err *err)
{
    const struct params_opts *o = options;

    (void)s;
    (void)err;
    out_strf(done(out, NULL), "text", "%s: %d parameters, last %s", o->service, (int)o->params.n,
             o->params.v[o->params.n - 1]);
    return 0;
}

static const struct cmd plan_change_parameters = {
    .name = "plan change-parameters",
    .summary = "change parameters of a service",
    .description = "Changes parameters.",
    .options = params_options,
    .options_size = sizeof(struct params_opts),
    .tables = done_tables,
    .run = run_params,
};

/* --- show --- */

struct show_opts {
    bool last;
    int64_t id, from;
};

static const struct opt show_options[] = {
    OPT_FLAG(struct show_opts, last, "last", "the latest plan", .one_of = 1),
    OPT_INT(struct show_opts, id, "id", "the plan with this id", .value = "ID", .one_of = 1,
            .complete = COMPLETE_NONE),
    OPT_TIME(struct show_opts, from, "from", "plans since then", .def = -1),
    OPT_END,
};

static int run_show(struct session *s, const void *options, struct out *out, struct err *err)
{
    const struct show_opts *o = options;

    (void)s;
    (void)err;
    out_strf(done(out, NULL), "text", "last %d id %d from %lld", o->last, (int)o->id,
             (long long)o->from);
    return 0;
}

static const struct cmd show_plans = {
    .name = "show plans",
    .summary = "list plans",
    .description = "Lists plans.",
    .options = show_options,
    .options_size = sizeof(struct show_opts),
    .tables = done_tables,
    .run = run_show,
};

static const struct cmd show_topology = {
    .name = "show topology",
    .summary = "show what the store is made of",
    .description = "Shows the topology.",
    .options = NULL,
    .tables = done_tables,
    .run = run_show,
    .options_size = sizeof(struct show_opts),
};

/* --- echo, fail, login: words, errors, secrets --- */

struct echo_opts {
    struct words words;
    int64_t pause;
};

static const struct opt echo_options[] = {
    OPT_LIST(struct echo_opts, words, "word", "what to print", .value = "WORD",
             .flags = OPT_POSITIONAL),
    OPT_SECONDS(struct echo_opts, pause, "pause", "how long to wait first"),
    OPT_END,
};

static int run_echo(struct session *s, const void *options, struct out *out, struct err *err)
{
    const struct echo_opts *o = options;
    struct out_row *row;
    struct buf text;

    if (o->pause > 0) {
        shell_progress(s->shell, "waiting");
        if (shell_pause((int)o->pause))
            return err_set(err, ERR_INTERRUPTED, "interrupted %d times", shell_interrupts());
    }
    buf_init(&text, 0);
    for (size_t i = 0; i < o->words.n; i++)
        buf_addf(&text, "%s%s", i ? " " : "", o->words.v[i]);
    row = done(out, text.data);
    buf_release(&text);
    out_int(row, "count", (int64_t)o->words.n);
    out_int(row, "tookMs", o->pause);
    if (shell_is_verbose(s->shell))
        out_note(out, "line: %s", shell_command_line(s->shell));
    return 0;
}

static const struct cmd echo = {
    .name = "echo",
    .summary = "print words",
    .description = "Prints its words.",
    .options = echo_options,
    .options_size = sizeof(struct echo_opts),
    .tables = done_tables,
    .run = run_echo,
};

struct fail_opts {
    int64_t code;
};

static const struct opt fail_options[] = {
    OPT_INT(struct fail_opts, code, "code", "number of the error", .def = ERR_FAILED,
            .max = ERR_COUNT - 1),
    OPT_END,
};

static int run_fail(struct session *s, const void *options, struct out *out, struct err *err)
{
    const struct fail_opts *o = options;

    (void)s;
    (void)out;
    err_set(err, (enum err_code)o->code, "failed as asked");
    return err_advise(err, "do not ask for it");
}

static const struct cmd fail = {
    .name = "fail",
    .summary = "fail",
    .description = "Fails.",
    .options = fail_options,
    .options_size = sizeof(struct fail_opts),
    .tables = done_tables,
    .run = run_fail,
};

struct login_opts {
    const char *user, *password;
};

static const struct opt login_options[] = {
    OPT_STR(struct login_opts, user, "user", "who", .flags = OPT_REQUIRED),
    OPT_STR(struct login_opts, password, "password", "the password", .flags = OPT_SECRET),
    OPT_END,
};

static int run_login(struct session *s, const void *options, struct out *out, struct err *err)
{
    (void)options;
    (void)err;
    done(out, shell_command_line(s->shell));
    return 0;
}

static const struct cmd login = {
    .name = "login",
    .summary = "log in",
    .description = "Logs in.",
    .options = login_options,
    .options_size = sizeof(struct login_opts),
    .tables = done_tables,
    .run = run_login,
};

/* --- the shell's own --- */

struct load_opts {
    const char *file;
};

static const struct opt load_options[] = {
    OPT_FILE(struct load_opts, file, "file", "script to run", .flags = OPT_REQUIRED),
    OPT_END,
};

static int run_load(struct session *s, const void *options, struct out *out, struct err *err)
{
    (void)out;
    return shell_load(s->shell, ((const struct load_opts *)options)->file, err);
}

static const struct cmd load = {
    .name = "load",
    .summary = "run the commands of a file",
    .description = "Runs a script.",
    .options = load_options,
    .options_size = sizeof(struct load_opts),
    .run = run_load,
};

struct word_opts {
    struct words words;
};

static const struct opt help_options[] = {
    OPT_LIST(struct word_opts, words, "command", "command, or the words it begins with",
             .value = "WORD", .flags = OPT_POSITIONAL, .complete = COMPLETE_COMMAND),
    OPT_END,
};

static int run_help(struct session *s, const void *options, struct out *out, struct err *err)
{
    const struct word_opts *o = options;

    return help_fill(s->shell, o->words.n, o->words.v, out, err);
}

static const struct cmd help = {
    .name = "help",
    .summary = "describe commands",
    .description = "Describes commands.",
    .options = help_options,
    .options_size = sizeof(struct word_opts),
    .tables = help_tables,
    .run = run_help,
};

struct switch_opts {
    const char *state;
};

static const char *const on_off[] = {"on", "off", NULL};
static const struct opt switch_options[] = {
    OPT_CHOICE(struct switch_opts, state, "state", "on or off", .choices = on_off,
               .flags = OPT_POSITIONAL),
    OPT_END,
};

static int run_timer(struct session *s, const void *options, struct out *out, struct err *err)
{
    const struct switch_opts *o = options;

    (void)err;
    if (o->state)
        shell_config(s->shell)->timer = strcmp(o->state, "on") == 0;
    done(out, shell_config(s->shell)->timer ? "timer is on" : "timer is off");
    return 0;
}

static const struct cmd timer_cmd = {
    .name = "timer",
    .summary = "show how long commands take",
    .description = "Switches the timer.",
    .options = switch_options,
    .options_size = sizeof(struct switch_opts),
    .tables = done_tables,
    .needs = CMD_INTERACTIVE,
    .run = run_timer,
};

static int run_history(struct session *s, const void *options, struct out *out, struct err *err)
{
    (void)options;
    (void)err;
    history_fill(s->shell, 0, out);
    return 0;
}

static const struct out_table *const history_tables[] = {&history_table, NULL};
static const struct cmd history_cmd = {
    .name = "history",
    .summary = "list the lines typed",
    .description = "Lists lines.",
    .tables = history_tables,
    .run = run_history,
};

static int run_nothing(struct session *s, const void *options, struct out *out, struct err *err)
{
    (void)s;
    (void)options;
    (void)out;
    (void)err;
    return 0;
}

static const struct cmd exit_cmd = {
    .name = "exit",
    .alias = "quit",
    .summary = "leave the shell",
    .description = "Leaves the shell.",
    .needs = CMD_QUIT,
    .run = run_nothing,
};

struct complete_opts {
    const char *line;
};

static const struct opt complete_options[] = {
    OPT_STR(struct complete_opts, line, "line", "the line up to the cursor", .value = "LINE",
            .flags = OPT_POSITIONAL),
    OPT_END,
};

static int run_complete(struct session *s, const void *options, struct out *out, struct err *err)
{
    const struct complete_opts *o = options;

    (void)err;
    complete_fill(s->shell, o->line ? o->line : "", out);
    return 0;
}

static const struct out_table *const complete_tables[] = {&complete_table, NULL};
static const struct cmd complete_cmd = {
    .name = "complete",
    .summary = "list what may follow a line",
    .description = "Lists candidates.",
    .options = complete_options,
    .options_size = sizeof(struct complete_opts),
    .tables = complete_tables,
    .needs = CMD_HIDDEN,
    .run = run_complete,
};

static int run_selftest(struct session *s, const void *options, struct out *out, struct err *err)
{
    (void)s;
    (void)options;
    return selftest_fill(fake_cmds, out, err);
}

static const struct out_table *const selftest_tables[] = {&selftest_table, NULL};
static const struct cmd selftest_cmd = {
    .name = "self-test",
    .summary = "check the table of commands",
    .description = "Checks the table.",
    .tables = selftest_tables,
    .needs = CMD_HIDDEN,
    .run = run_selftest,
};

const struct cmd *const fake_cmds[] = {
    &plan_deploy_zone,
    &plan_stop_service,
    &plan_start_service,
    &plan_change_parameters,
    &show_plans,
    &show_topology,
    &echo,
    &fail,
    &login,
    &load,
    &help,
    &timer_cmd,
    &history_cmd,
    &exit_cmd,
    &complete_cmd,
    &selftest_cmd,
    NULL,
};

/* --- the program and the host --- */

struct program_opts {
    const char *store, *config;
};

static const struct opt program_options[] = {
    OPT_STR(struct program_opts, store, "store", "store to administer", .complete = COMPLETE_STORE),
    OPT_FILE(struct program_opts, config, "config", "configuration file"),
    OPT_END,
};

const struct cmd fake_program = {
    .name = "shell_demo",
    .summary = "administer nothing",
    .options = program_options,
    .options_size = sizeof(struct program_opts),
};

static int prepare(struct session *s, const struct cmd *cmd, struct err *err)
{
    if (s->refuse)
        return err_set(err, ERR_UNREACHABLE, "no store is open");
    s->prepared += (cmd->needs & CMD_STORE) != 0;
    return 0;
}

static void complete(struct session *s, enum completer what,
                     void (*add)(void *arg, const char *candidate), void *arg)
{
    static const char *const names[][5] = {
        [COMPLETE_STORE] = {"store-a", "store-b"},
        [COMPLETE_ZONE_ID] = {"zn1", "zn2"},
        [COMPLETE_ZONE_NAME] = {"Boston", "New York", "Zürich"},
        [COMPLETE_NODE] = {"sn1", "sn2", "sn3"},
        [COMPLETE_SERVICE] = {"admin1", "rg1-rn1", "rg1-rn2", "rg2-rn1"},
    };

    (void)s;
    if ((size_t)what >= sizeof names / sizeof *names)
        return;
    for (size_t i = 0; i < 5 && names[what][i]; i++)
        add(arg, names[what][i]);
}

static bool available(struct session *s, const struct cmd *cmd)
{
    return !(s->no_topology && cmd == &show_topology);
}

struct shell_host fake_host(struct session *s)
{
    return (struct shell_host){
        .session = s,
        .cmds = fake_cmds,
        .program = &fake_program,
        .prepare = prepare,
        .complete = complete,
        .available = available,
    };
}
