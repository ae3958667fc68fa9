/* What reading and editing of INI files share. */
#pragma once

#include "kvsh/conf.h"

/* Longest "[section name]" line: inih keeps 49 bytes between the brackets. */
#define CONF_SECTION_MAX 51

/* What a line may begin with: all that isspace() knows but the end of the line. */
#define CONF_BLANKS " \t\f\v\r"

/* As conf_read(), of a text in memory; path is for errors. After an error c is as before. */
int conf_read_text(struct conf *c, const char *path, const char *text, struct err *err);

/* "store  prod" between the brackets of a section line: kind "store", name "prod". */
struct conf_section {
    const char *kind;
    const char *name;
    size_t kind_len;
    size_t name_len;
};

struct conf_section conf_section_split(const char *s, size_t len);
