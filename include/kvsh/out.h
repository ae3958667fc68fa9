/*
 * The output of one command: rows and notes, rendered once as text or as JSON.
 *
 * A command declares its tables (struct out_table); the handler adds rows, in the order a reader
 * should see them, and never prints. Both renderings come from the same cells, so they cannot
 * disagree:
 *
 *   text  rows of a table with a template are printed one by one through it; neighbouring rows of a
 *         table without one are aligned in columns under their titles; "-" is a cell not set
 *   JSON  {"operation", "returnCode", "description", "returnValue": {...}, "schema": "kvsh/1"};
 *         each declared table is a member of returnValue under its key: an array of objects (there
 *         also when empty), or for a `single` table its members directly in returnValue. Cells not
 *         set are absent. Beside returnValue, only when there is something to say: "notes", an
 *         array of sentences, and on failure "advice" and "position" (the prefix given to
 *         out_finish()).
 *
 * Template: text with {column}, {column:10} (left-aligned, padded to 10), {column:-10}
 * (right-aligned) and {?column|...} (printed only when that cell is set and neither false nor "";
 * does not nest, may hold {column}s). "{{" is a literal brace. No newline at the end: each row is
 * one or more whole lines.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "kvsh/err.h"

enum out_type {
    OUT_STR,
    OUT_INT,
    OUT_BOOL, /* text: yes/no */
    OUT_TIME, /* int64_t ms since 1970, 0: not set; text "2025-12-30 14:20:01 UTC", JSON RFC 3339 */
    OUT_DURATION, /* int64_t ms, the key ends in "Ms"; text "1.2 s", "3 min 5 s"; JSON the number */
    OUT_BYTES,    /* int64_t; text "8 GB" (powers of 1024); JSON the number */
    OUT_PERCENT,  /* int64_t 0..100; text "45 %"; JSON the number */
    OUT_LIST,     /* of strings; text joined by ", " */
    OUT_STATE, /* a string with a colour on a terminal: good, bad or in between by its first word */
};

struct out_col {
    const char *key;   /* JSON member, camelCase */
    const char *title; /* heading in aligned text; NULL: the column is for JSON alone */
    enum out_type type;
    const char *meaning; /* one line for manual and schema */
};

struct out_table {
    const char *key;            /* JSON member of returnValue; NULL for a single table */
    const struct out_col *cols; /* ends with {0} */
    const char *text;           /* template, or NULL: aligned columns */
    bool single;                /* at most one row, its cells go into returnValue itself */
    bool chatter;               /* left out of the text under -quiet (all is well) */
    bool no_heading;            /* aligned columns without the line of titles */
    bool json_only;             /* rows in JSON alone: the text says the same as the error */
    const char *empty;          /* text when the table stayed without rows, or NULL: nothing */
};

struct out;
struct out_row;

struct out_config {
    FILE *results;     /* stdout */
    FILE *diagnostics; /* stderr */
    bool json;
    bool quiet;
    bool color;
};

struct out *out_new(const struct out_config *config, const char *operation,
                    const struct out_table *const *tables /* ends with NULL, may be NULL */);
void out_free(struct out *out);

/* A new row; borrowed, valid until out_free(). The table must be one of those declared. */
struct out_row *out_row(struct out *out, const struct out_table *table);
/*
 * Cells, by the column's key. An unknown key or a wrong type is a programming error and aborts.
 * out_str: OUT_STR, OUT_STATE; NULL: not set. out_int: INT, TIME, DURATION, BYTES, PERCENT.
 * out_item: one more of an OUT_LIST.
 */
void out_str(struct out_row *row, const char *key, const char *value);
void out_strf(struct out_row *row, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void out_int(struct out_row *row, const char *key, int64_t value);
void out_bool(struct out_row *row, const char *key, bool value);
void out_item(struct out_row *row, const char *key, const char *item);

/* A sentence worth knowing beside the result: "note: ..." on diagnostics, `notes` in JSON. */
void out_note(struct out *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Text without a terminal's progress (see progress in cli): prints what is there so far and goes
 * on. For commands that wait: "Executed plan 9, waiting for completion..." must be seen at once. No
 * effect in JSON. */
void out_flush(struct out *out);

/*
 * Renders the rest. err is the command's outcome (ERR_OK or not): in JSON it fills returnCode and
 * description, in text it is printed on the diagnostics stream as "error text" and, indented, the
 * advice; prefix (file and line of a script, or NULL) and ": " stand before it. Codes VIOLATIONS
 * with an empty text print nothing more. Returns the exit status, 1 when writing the results failed
 * (and says so, unless the reader went away: EPIPE).
 */
int out_finish(struct out *out, const struct err *err, const char *prefix);
