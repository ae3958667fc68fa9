/*
 * A command: one constant declaration from which parsing, help, completion, the manual page, the
 * JSON schema and the bash completion come. cli/ works on these and knows nothing of stores.
 *
 * A command file looks like this:
 *
 *     struct opts { const char *name; int64_t rf; struct plan_opts plan; };
 *
 *     static const struct opt options[] = {
 *         OPT_STR(struct opts, name, "name", "name of the zone", .flags = OPT_REQUIRED),
 *         OPT_INT(struct opts, rf, "rf", "copies of each shard in this zone", .min = 1, .max = 20,
 *                 .flags = OPT_REQUIRED),
 *         PLAN_OPTIONS(struct opts, plan),
 *         OPT_END,
 *     };
 *     static int run(struct session *s, const void *options, struct out *out, struct err *err);
 *
 *     const struct cmd cmd_plan_deploy_zone = { .name = "plan deploy-zone", ... };
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvsh/err.h"
#include "kvsh/out.h"

struct session; /* the commands' own; cli/ only hands it through */

/* A list of words; the array and the words live in the command's arena. */
struct words {
    const char **v;
    size_t n;
};

enum opt_type {
    OPT_TYPE_END,
    OPT_TYPE_FLAG,    /* bool: present or not */
    OPT_TYPE_STR,     /* const char * */
    OPT_TYPE_INT,     /* int64_t within min..max */
    OPT_TYPE_SECONDS, /* int64_t milliseconds, typed as seconds: "30", "1.5"; min/max in seconds */
    OPT_TYPE_CHOICE,  /* const char *: one of choices, canonical spelling */
    OPT_TYPE_FILE,    /* const char *: a path, completed as one */
    OPT_TYPE_TIME,    /* int64_t ms since 1970, Oracle's date forms (fs.h, time_parse) */
    OPT_TYPE_LIST,    /* struct words: the option may repeat; also several positional words */
    OPT_TYPE_REST,    /* struct words: all words up to the end of the line */
    OPT_TYPE_GROUP,   /* an embedded struct with options of its own (plan options) */
};

enum opt_flags {
    OPT_REQUIRED = 1 << 0,
    OPT_POSITIONAL = 1 << 1, /* given without its name; in the order of declaration */
    OPT_HIDDEN = 1 << 2,     /* accepted, not shown */
    OPT_SECRET = 1 << 3,     /* value masked in history and logs */
    OPT_COMMON = 1 << 4,     /* of OPT_TYPE_REST: -json and the like are not among its words */
};

/* What completes an option's value; the session answers with live names from the journal. */
enum completer {
    COMPLETE_NONE,
    COMPLETE_STORE,
    COMPLETE_ZONE_ID,   /* zn1 */
    COMPLETE_ZONE_NAME, /* Zone1 */
    COMPLETE_NODE,      /* sn1 */
    COMPLETE_SERVICE,   /* rg1-rn1, admin1 */
    COMPLETE_POOL,
    COMPLETE_TOPOLOGY,
    COMPLETE_PLAN,
    COMPLETE_COMMAND, /* words of command names (help) */
};

struct opt {
    const char *name; /* without dash */
    enum opt_type type;
    size_t offset;       /* of the member in the options struct */
    const char *meaning; /* one line, lower case, no full stop */
    const char
        *value; /* placeholder in the synopsis; NULL: by type ("NAME", "N", "SECONDS", ...) */
    unsigned flags;
    int64_t min, max;           /* INT, SECONDS; both 0: any non-negative */
    int64_t def;                /* INT, SECONDS (ms), TIME: when not given */
    const char *const *choices; /* CHOICE: ends with NULL */
    enum completer complete;
    /* Options with the same non-zero number exclude each other; with OPT_REQUIRED exactly one is
     * needed. */
    unsigned one_of;
    const struct opt *group; /* GROUP: the embedded struct's options, offsets within it */
};

/* The member's type is checked at compile time: a wrong one makes the array size negative. */
#define OPT_OFFSET(S, m, type) \
    (offsetof(S, m) +          \
     0 * sizeof(char[__builtin_types_compatible_p(__typeof__(((S *)0)->m), type) ? 1 : -1]))

#define OPT_FLAG(S, m, n, what, ...)                                                         \
    {                                                                                        \
        .name = n, .type = OPT_TYPE_FLAG, .offset = OPT_OFFSET(S, m, bool), .meaning = what, \
        __VA_ARGS__                                                                          \
    }
#define OPT_TEXT(kind, S, m, n, what, ...)                                                  \
    {                                                                                       \
        .name = n, .type = kind, .offset = OPT_OFFSET(S, m, const char *), .meaning = what, \
        __VA_ARGS__                                                                         \
    }
#define OPT_NUMBER(kind, S, m, n, what, ...)                                                       \
    {                                                                                              \
        .name = n, .type = kind, .offset = OPT_OFFSET(S, m, int64_t), .meaning = what, __VA_ARGS__ \
    }
#define OPT_WORDS(kind, S, m, n, what, ...)                                                 \
    {                                                                                       \
        .name = n, .type = kind, .offset = OPT_OFFSET(S, m, struct words), .meaning = what, \
        __VA_ARGS__                                                                         \
    }
#define OPT_STR(S, m, n, ...) OPT_TEXT(OPT_TYPE_STR, S, m, n, __VA_ARGS__)
#define OPT_CHOICE(S, m, n, ...) OPT_TEXT(OPT_TYPE_CHOICE, S, m, n, __VA_ARGS__)
#define OPT_FILE(S, m, n, ...) OPT_TEXT(OPT_TYPE_FILE, S, m, n, __VA_ARGS__)
#define OPT_INT(S, m, n, ...) OPT_NUMBER(OPT_TYPE_INT, S, m, n, __VA_ARGS__)
#define OPT_SECONDS(S, m, n, ...) OPT_NUMBER(OPT_TYPE_SECONDS, S, m, n, __VA_ARGS__)
#define OPT_TIME(S, m, n, ...) OPT_NUMBER(OPT_TYPE_TIME, S, m, n, __VA_ARGS__)
#define OPT_LIST(S, m, n, ...) OPT_WORDS(OPT_TYPE_LIST, S, m, n, __VA_ARGS__)
#define OPT_REST(S, m, n, ...) OPT_WORDS(OPT_TYPE_REST, S, m, n, __VA_ARGS__)
#define OPT_GROUP(S, m, M, opts)                                                         \
    {                                                                                    \
        .name = "", .type = OPT_TYPE_GROUP, .offset = OPT_OFFSET(S, m, M), .group = opts \
    }
#define OPT_END              \
    {                        \
        .type = OPT_TYPE_END \
    }

enum cmd_needs {
    CMD_STORE = 1 << 0,       /* a configured store: its journal is open before run() */
    CMD_INTERACTIVE = 1 << 1, /* only at the prompt or in a script (verbose, timer, page) */
    CMD_HIDDEN = 1 << 2,      /* not listed by help and completion */
    CMD_QUIT = 1 << 3,        /* ends the shell after it succeeded */
};

struct cmd {
    const char *name;                      /* "plan stop-service" */
    const char *alias;                     /* a second whole name ("quit"), or NULL */
    const char *summary;                   /* one line, lower case, no full stop */
    const char *description;               /* paragraphs separated by an empty line */
    const struct opt *options;             /* NULL or ends with OPT_END */
    size_t options_size;                   /* sizeof the options struct */
    const struct out_table *const *tables; /* NULL or ends with NULL */
    const char *const *examples;           /* NULL or ends with NULL; whole lines without prompt */
    unsigned needs;                        /* enum cmd_needs */
    /* Check meaning, act, report. Returns 0, or -1 with *err filled. options is a filled,
     * zero-initialised struct of options_size bytes, borrowed for the call. */
    int (*run)(struct session *s, const void *options, struct out *out, struct err *err);
};
