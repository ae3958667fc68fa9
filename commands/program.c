#include "commands/program.h"

/* The program's own options, declared like those of a command. */

static const char *const colors[] = {"auto", "always", "never", NULL};

static const struct opt options[] = {
    OPT_STR(struct program_opts, store, "store", "the store to work on",
            .complete = COMPLETE_STORE),
    OPT_STR(struct program_opts, host, "host", "host of a node of the store", .value = "HOST"),
    OPT_INT(struct program_opts, port, "port", "port of that node's agent", .min = 1, .max = 65535),
    OPT_FILE(struct program_opts, config, "config",
             "configuration file, in place of the usual ones"),
    OPT_FILE(struct program_opts, state_dir, "state-dir", "where journals are kept",
             .value = "DIR"),
    OPT_CHOICE(struct program_opts, color, "color", "colours: when (auto)", .choices = colors),
    OPT_SECONDS(struct program_opts, timeout_ms, "timeout", "time for one answer of a node",
                .min = 0, .max = 3600),
    OPT_FLAG(struct program_opts, version, "version", "print the version and end"),
    OPT_REST(struct program_opts, command, "command",
             "a command with its options; none: read commands from the terminal or stdin",
             .value = "COMMAND", .flags = OPT_POSITIONAL, .complete = COMPLETE_COMMAND),
    OPT_END,
};

static const char *const examples[] = {
    "kvsh",
    "kvsh -store prod show plans -json",
    "kvsh -store prod <deploy.kv",
    "kvsh -store prod -quiet verify configuration",
    "kvsh -host node01 -port 13230",
    NULL,
};

const struct cmd program = {
    .name = "kvsh",
    .summary = "administer distributed key-value stores",
    .description =
        "Observes the nodes of a store over REST, turns what the operator asks for into a plan of "
        "small repeatable steps, carries the plan out, and keeps every plan in a local journal.\n\n"
        "With a command: runs it and ends with its exit status. Without one: a prompt on a "
        "terminal, "
        "otherwise a script from the standard input.",
    .options = options,
    .options_size = sizeof(struct program_opts),
    .examples = examples,
};
