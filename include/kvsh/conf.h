/*
 * INI files (read by inih, the only user of it is lib/conf.c).
 *
 * Sections and keys keep their order; a key may repeat ("node"). Section names may have two words:
 * "[store prod]" is section "store", name "prod".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "kvsh/err.h"

struct conf_entry {
    const char *section; /* "kvsh", "store" */
    const char *name;    /* "prod", "" */
    const char *key;
    const char *value;
    const char *file; /* where it stands, for errors */
    int line;
};

struct conf;

struct conf *conf_new(void);
void conf_free(struct conf *c);

/* Adds the file's entries behind those already there. Absent: 0 unless must_exist. Syntax errors
 * are ERR_INPUT and name file and line. */
int conf_read(struct conf *c, const char *path, bool must_exist, struct err *err);

size_t conf_count(const struct conf *c);
const struct conf_entry *conf_at(const struct conf *c, size_t i);
/* The last value given (later files win), or NULL. */
const char *conf_get(const struct conf *c, const char *section, const char *name, const char *key);

/*
 * Edits of a file, keeping comments and everything else byte for byte: write aside (0600), fsync,
 * rename. conf_edit_section() replaces or appends a whole section by `body` (lines, each ending in
 * "\n"); body NULL removes it (ERR_INPUT when it is not there).
 * conf_edit_key() sets one key of a section (appending the section when absent); value NULL removes
 * the key.
 */
int conf_edit_section(const char *path, const char *section, const char *name, const char *body,
                      struct err *err);
int conf_edit_key(const char *path, const char *section, const char *name, const char *key,
                  const char *value, struct err *err);
