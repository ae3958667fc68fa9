/* The rows of struct out, shared by what collects them (out.c) and what renders them as text
 * (out_text.c). */
#pragma once

#include "kvsh/buf.h"
#include "kvsh/out.h"

struct out_cell {
    bool is_set;
    const char *text;   /* OUT_STR, OUT_STATE */
    int64_t number;     /* OUT_BOOL and all numbers */
    const char **items; /* OUT_LIST */
    size_t count;
};

struct out_row {
    const struct out_table *table;
    struct arena *arena;
    struct out_cell *cells; /* in the order of table->cols */
};

/* Index of the table's column with that key of len bytes, or -1. */
int out_col_index(const struct out_table *table, const char *key, size_t len);

/* One row through its table's template, or n rows of one table in columns. */
void out_text_template(struct buf *b, const struct out_row *row, bool color);
void out_text_columns(struct buf *b, struct out_row *const *rows, size_t n, bool heading,
                      bool color);

/* s with everything a terminal might obey made visible: \xNN. Newlines stay when asked for. */
void out_text_visible(struct buf *b, const char *s, bool newlines);

/* NULL, or what is wrong with the table's declaration; free() it. */
char *out_table_fault(const struct out_table *table);
