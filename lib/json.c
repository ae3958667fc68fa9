#include "kvsh/json.h"

#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "kvsh/buf.h"
#include "kvsh/mem.h"
#include "utf8.h"

enum { JSON_DEPTH_MAX = 64 };
#define JSON_TEXT_MAX ((size_t)64 << 20)

static struct json *wrap(cJSON *c)
{
    return (struct json *)c;
}

static cJSON *item(struct json *j)
{
    return (cJSON *)j;
}

static const cJSON *citem(const struct json *j)
{
    return (const cJSON *)j;
}

/* cJSON takes memory it does not get for bad text, or goes on without a key: here that ends the
 * process as everywhere else. */
static void use_own_memory(void) __attribute__((constructor));

static void use_own_memory(void)
{
    cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = xmalloc, .free_fn = free});
}

/* Ends the process as any other allocation failure does. */
static cJSON *must(cJSON *c)
{
    if (!c)
        xcalloc(SIZE_MAX, 2);
    return c;
}

/* Offset of the first bracket that nests too deeply, or -1: a deep text would exhaust the stack of
 * whoever walks the value. */
static ptrdiff_t too_deep(const char *text, size_t len)
{
    bool in_string = false;
    int depth = 0;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX)
                return (ptrdiff_t)i;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return -1;
}

struct json *json_parse(const char *text, size_t len, struct err *err)
{
    const char *end = text;
    ptrdiff_t deep;
    size_t offset;
    cJSON *c;

    if (len > JSON_TEXT_MAX) {
        err_set(err, ERR_INPUT, "JSON text of %zu bytes is too large", len);
        return NULL;
    }
    deep = too_deep(text, len);
    if (deep >= 0) {
        err_set(err, ERR_INPUT, "JSON nests deeper than %d at offset %td", JSON_DEPTH_MAX, deep);
        return NULL;
    }
    c = cJSON_ParseWithLengthOpts(text, len, &end, false);
    offset = end ? (size_t)(end - text) : 0;
    while (c && offset < len && strchr(" \t\r\n", text[offset]) && text[offset])
        offset++;
    if (!c || offset < len) {
        cJSON_Delete(c);
        err_set(err, ERR_INPUT, "not valid JSON at offset %zu", offset < len ? offset : len);
        return NULL;
    }
    return wrap(c);
}

static bool is_plain(char c)
{
    return (unsigned char)c >= 0x20 && (unsigned char)c < 0x7f && c != '"' && c != '\\';
}

size_t json_text_fault(const char *s)
{
    const char *p = s;

    for (size_t n; *p != '\0' && (n = utf8_sequence(p)) > 0; p += n)
        ;
    return (size_t)(p - s);
}

/* Quoted and escaped; what is not UTF-8 becomes U+FFFD, so that the text always parses. */
static void print_string(struct buf *b, const char *s)
{
    buf_addc(b, '"');
    while (*s) {
        size_t n = 0;

        while (is_plain(s[n]))
            n++;
        if (n > 0) {
            buf_add(b, s, n);
        } else if (*s == '"' || *s == '\\') {
            buf_addf(b, "\\%c", *s);
        } else if (*s == '\n' || *s == '\t') {
            buf_adds(b, *s == '\n' ? "\\n" : "\\t");
        } else if ((unsigned char)*s < 0x20 || *s == 0x7f) {
            buf_addf(b, "\\u%04x", (unsigned)*s);
        } else if ((n = utf8_sequence(s)) > 0) {
            buf_add(b, s, n);
        } else {
            buf_adds(b, UTF8_REPLACEMENT);
        }
        s += n ? n : 1;
    }
    buf_addc(b, '"');
}

/* Whole numbers without exponent, others with as few digits as give the same number again. */
static void print_number(struct buf *b, double n)
{
    char text[40];

    if (!isfinite(n)) {
        buf_adds(b, "null"); /* JSON has no word for it */
        return;
    }
    if (fabs(n) < 1e18 && n == (double)(int64_t)n) {
        buf_addf(b, "%" PRId64, (int64_t)n);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, n);
        if (strtod(text, NULL) == n)
            break;
    }
    for (char *p = text; *p; p++)
        if (*p == *localeconv()->decimal_point)
            *p = '.';
    buf_adds(b, text);
}

static void print_break(struct buf *b, bool pretty, int depth)
{
    if (pretty)
        buf_addf(b, "\n%*s", 2 * depth, "");
}

static void print_value(struct buf *b, const cJSON *c, bool pretty, int depth)
{
    bool is_object = cJSON_IsObject(c);

    if (cJSON_IsString(c)) {
        print_string(b, c->valuestring);
    } else if (cJSON_IsNumber(c)) {
        print_number(b, c->valuedouble);
    } else if (cJSON_IsBool(c)) {
        buf_adds(b, cJSON_IsTrue(c) ? "true" : "false");
    } else if (!is_object && !cJSON_IsArray(c)) {
        buf_adds(b, "null");
    } else {
        buf_addc(b, is_object ? '{' : '[');
        for (const cJSON *m = c->child; m; m = m->next) {
            if (m != c->child)
                buf_addc(b, ',');
            print_break(b, pretty, depth + 1);
            if (is_object) {
                print_string(b, m->string);
                buf_adds(b, pretty ? ": " : ":");
            }
            print_value(b, m, pretty, depth + 1);
        }
        if (c->child)
            print_break(b, pretty, depth);
        buf_addc(b, is_object ? '}' : ']');
    }
}

static char *print(const struct json *j, bool pretty)
{
    struct buf b;
    char *text;

    buf_init(&b, SIZE_MAX / 2);
    print_value(&b, citem(j), pretty, 0);
    if (pretty)
        buf_addc(&b, '\n');
    text = buf_take(&b);
    buf_release(&b);
    return text;
}

char *json_print(const struct json *j)
{
    return print(j, false);
}

char *json_print_pretty(const struct json *j)
{
    return print(j, true);
}

void json_free(struct json *j)
{
    cJSON_Delete(item(j));
}

struct json *json_copy(const struct json *j)
{
    return j ? wrap(must(cJSON_Duplicate(citem(j), true))) : NULL;
}

bool json_equal(const struct json *a, const struct json *b)
{
    if (!a || !b)
        return a == b;
    return cJSON_Compare(citem(a), citem(b), true);
}

struct json *json_object(void)
{
    return wrap(must(cJSON_CreateObject()));
}

struct json *json_array(void)
{
    return wrap(must(cJSON_CreateArray()));
}

struct json *json_string(const char *s)
{
    return s ? wrap(must(cJSON_CreateString(s))) : json_null();
}

struct json *json_number(double n)
{
    return wrap(must(cJSON_CreateNumber(n)));
}

struct json *json_boolean(bool b)
{
    return wrap(must(cJSON_CreateBool(b)));
}

struct json *json_null(void)
{
    return wrap(must(cJSON_CreateNull()));
}

void json_set(struct json *obj, const char *key, struct json *value)
{
    if (!value)
        json_unset(obj, key);
    else if (json_get(obj, key))
        must(cJSON_ReplaceItemInObjectCaseSensitive(item(obj), key, item(value)) ? item(obj)
                                                                                 : NULL);
    else
        must(cJSON_AddItemToObject(item(obj), key, item(value)) ? item(obj) : NULL);
}

void json_set_str(struct json *obj, const char *key, const char *s)
{
    json_set(obj, key, json_string(s));
}

void json_set_int(struct json *obj, const char *key, int64_t n)
{
    json_set(obj, key, json_number((double)n));
}

void json_set_bool(struct json *obj, const char *key, bool b)
{
    json_set(obj, key, json_boolean(b));
}

void json_push(struct json *arr, struct json *value)
{
    must(cJSON_AddItemToArray(item(arr), item(value)) ? item(arr) : NULL);
}

void json_push_str(struct json *arr, const char *s)
{
    json_push(arr, json_string(s));
}

void json_unset(struct json *obj, const char *key)
{
    cJSON_DeleteItemFromObjectCaseSensitive(item(obj), key);
}

struct json *json_get(const struct json *obj, const char *key)
{
    return json_is_object(obj) ? wrap(cJSON_GetObjectItemCaseSensitive(citem(obj), key)) : NULL;
}

const char *json_str(const struct json *obj, const char *key)
{
    return json_value_str(json_get(obj, key));
}

int64_t json_int(const struct json *obj, const char *key, int64_t def)
{
    return json_value_int(json_get(obj, key), def);
}

bool json_bool(const struct json *obj, const char *key, bool def)
{
    const cJSON *c = citem(json_get(obj, key));

    return cJSON_IsBool(c) ? cJSON_IsTrue(c) : def;
}

size_t json_len(const struct json *arr)
{
    size_t n = 0;

    JSON_FOREACH (child, arr)
        n++;
    return n;
}

struct json *json_at(const struct json *arr, size_t i)
{
    JSON_FOREACH (child, arr)
        if (i-- == 0)
            return child;
    return NULL;
}

bool json_is_object(const struct json *j)
{
    return cJSON_IsObject(citem(j));
}

bool json_is_array(const struct json *j)
{
    return cJSON_IsArray(citem(j));
}

bool json_is_string(const struct json *j)
{
    return cJSON_IsString(citem(j));
}

bool json_is_number(const struct json *j)
{
    return cJSON_IsNumber(citem(j));
}

bool json_is_null(const struct json *j)
{
    return cJSON_IsNull(citem(j));
}

const char *json_value_str(const struct json *j)
{
    return json_is_string(j) ? citem(j)->valuestring : NULL;
}

int64_t json_value_int(const struct json *j, int64_t def)
{
    double n;

    if (!json_is_number(j))
        return def;
    n = citem(j)->valuedouble;
    if (isnan(n))
        return def;
    if (n > (double)JSON_INT_MAX)
        return JSON_INT_MAX;
    if (n < (double)-JSON_INT_MAX)
        return -JSON_INT_MAX;
    return (int64_t)n;
}

const char *json_key(const struct json *j)
{
    return j ? citem(j)->string : NULL;
}

struct json *json_first(const struct json *container)
{
    return json_is_object(container) || json_is_array(container) ? wrap(citem(container)->child)
                                                                 : NULL;
}

struct json *json_next(const struct json *j)
{
    return j ? wrap(citem(j)->next) : NULL;
}
