/*
 * JSON values, a thin skin over cJSON (the only user of it is lib/json.c).
 *
 * Getters accept NULL and wrong types and then answer the default: foreign documents are read by
 * asking for what is expected, not by trusting them. Builders end the process when memory is out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvsh/err.h"

struct json; /* a cJSON item */

/* Parses exactly one value of at most 64 MiB and nesting 64. NULL and ERR_INPUT with the offset. */
struct json *json_parse(const char *text, size_t len, struct err *err);
char *json_print(const struct json *j);        /* one line; free() it */
char *json_print_pretty(const struct json *j); /* two-space indent, final newline; free() it */
void json_free(struct json *j);                /* NULL is fine; only for a value without parent */
struct json *json_copy(const struct json *j);
bool json_equal(const struct json *a, const struct json *b); /* order of members ignored */
/* Where text stops being UTF-8, as a JSON string must be: its length when it is all right. */
size_t json_text_fault(const char *text);

/* Constructors: the result belongs to the caller until it is added to a parent. */
struct json *json_object(void);
struct json *json_array(void);
struct json *json_string(const char *s); /* NULL gives JSON null */
struct json *json_number(double n);
struct json *json_boolean(bool b);
struct json *json_null(void);

/* Setters replace a member of that name. json_set() and json_push() take ownership of value; with
 * NULL json_set() removes the member, as it is when the copy of an absent one is set. */
void json_set(struct json *obj, const char *key, struct json *value);
void json_set_str(struct json *obj, const char *key, const char *s);
void json_set_int(struct json *obj, const char *key, int64_t n); /* exact up to 2^53 */
void json_set_bool(struct json *obj, const char *key, bool b);
void json_push(struct json *arr, struct json *value);
void json_push_str(struct json *arr, const char *s);
void json_unset(struct json *obj, const char *key);

/*
 * Getters. Strings and values are borrowed from j. Integers are those that JSON carries exactly
 * (RFC 8259, 6); what lies beyond is the nearest of them, so that a file or an answer with a wild
 * number leaves room for arithmetic.
 */
#define JSON_INT_MAX ((INT64_C(1) << 53) - 1)
struct json *json_get(const struct json *obj, const char *key); /* NULL when absent */
const char *json_str(const struct json *obj, const char *key);  /* NULL when absent or no string */
int64_t json_int(const struct json *obj, const char *key, int64_t def);
bool json_bool(const struct json *obj, const char *key, bool def);
size_t json_len(const struct json *arr);                /* 0 for anything but an array or object */
struct json *json_at(const struct json *arr, size_t i); /* linear; use JSON_FOREACH to walk */
bool json_is_object(const struct json *j);
bool json_is_array(const struct json *j);
bool json_is_string(const struct json *j);
bool json_is_number(const struct json *j);
bool json_is_null(const struct json *j);
const char *json_value_str(const struct json *j); /* NULL when no string */
int64_t json_value_int(const struct json *j, int64_t def);
const char *json_key(const struct json *j); /* name of a member of an object; NULL in arrays */

struct json *json_first(const struct json *container);
struct json *json_next(const struct json *item);
#define JSON_FOREACH(item, container) \
    for (struct json *item = json_first(container); item != NULL; item = json_next(item))
