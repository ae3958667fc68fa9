#include "tap.h"

#include <locale.h>
#include <stdlib.h>

#include "kvsh/json.h"
#include "kvsh/mem.h"

static struct json *parse(const char *text)
{
    struct err err = ERR_INIT;
    struct json *j = json_parse(text, strlen(text), &err);

    if (!j)
        printf("# %s: %s\n", text, err.text);
    ok(j != NULL);
    return j;
}

/* Parsed and printed again. */
static void prints(const char *text, const char *want)
{
    struct json *j = parse(text);
    char *s = json_print(j);

    is_str(s, want);
    free(s);
    json_free(j);
}

static void round_trips(void)
{
    prints("{}", "{}");
    prints(" [ ] \r\n\t", "[]");
    prints("{\"b\":1,\"a\":[true,false,null,\"x\"]}", "{\"b\":1,\"a\":[true,false,null,\"x\"]}");
    prints("\"\\u00e9\\ud83d\\ude00\\n\\t\\\\\\\"\\/\\b\\u001f\"",
           "\"\xc3\xa9\xf0\x9f\x98\x80\\n\\t\\\\\\\"/\\u0008\\u001f\"");
    prints("0", "0");
    prints("-0", "0");
    prints("9007199254740992", "9007199254740992");
    prints("1700000000123", "1700000000123");
    prints("-3", "-3");
    prints("2.5", "2.5");
    prints("0.1", "0.1");
    prints("0.30000000000000004", "0.30000000000000004");
    prints("1e300", "1e+300");
    prints("1e18", "1e+18");
}

static void bad(const char *text, size_t len, const char *part)
{
    struct err err = ERR_INIT;
    char *copy =
        xmalloc(len ? len : 1); /* exactly as long: reading on is seen by a memory checker */

    memcpy(copy, text, len);
    if (!ok(json_parse(copy, len, &err) == NULL))
        printf("# %.*s\n", (int)len, text);
    is_int(err.code, ERR_INPUT);
    has_str(err.text, part);
    free(copy);
}

static void refuses(void)
{
    static const char *const texts[] = {
        "",    " ",     "{",       "[1,",     "[1,]", "{\"a\"}", "{\"a\":1,}", "nul",
        "'a'", "{a:1}", "\"a",     "\"\\x\"", "1 2",  "{} x",    "[1]]",       "\"\\ud800\"",
        "tru", "--1",   "\"\\u12", "{\"a\":", "[\"",  "// x\n1",
    };
    char deep[200];

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        bad(texts[i], strlen(texts[i]), "not valid JSON at offset");
    bad("{} \0", 4, "offset 3");
    bad("[1, x]", 6, "offset 4");
    memset(deep, '[', sizeof deep);
    bad(deep, sizeof deep, "deeper than 64 at offset 64");
}

/* No terminator behind the text: exactly the given bytes are read. */
static void needs_no_terminator(void)
{
    struct err err = ERR_INIT;
    char *text = xmalloc(2);
    struct json *j;

    memcpy(text, "12", 2);
    j = json_parse(text, 2, &err);
    is_int(json_value_int(j, 0), 12);
    json_free(j);
    j = json_parse(text, 1, &err);
    is_int(json_value_int(j, 0), 1);
    json_free(j);
    free(text);
}

static void nests_to_the_limit(void)
{
    char text[129];
    struct json *j;

    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    text[128] = '\0';
    j = parse(text);
    json_free(j);
    prints("\"[[[[{{{{\"", "\"[[[[{{{{\"");
    prints("[\"\\\"[\",\"]\"]", "[\"\\\"[\",\"]\"]");
}

static void getters_trust_nothing(void)
{
    struct json *j =
        parse("{\"s\":\"x\",\"n\":7.9,\"b\":true,\"z\":null,\"a\":[1,2],\"o\":{\"k\":1},"
              "\"huge\":1e30,\"low\":-1e30}");
    struct json *a = json_get(j, "a");

    is_str(json_str(j, "s"), "x");
    is_str(json_str(j, "n"), NULL);
    is_str(json_str(j, "absent"), NULL);
    is_str(json_str(NULL, "s"), NULL);
    is_str(json_str(a, "s"), NULL);
    is_str(json_str(j, "S"), NULL); /* names are told apart by case */
    is_int(json_int(j, "n", -1), 7);
    is_int(json_int(j, "s", -1), -1);
    is_int(json_int(j, "huge", -1), JSON_INT_MAX);
    is_int(json_int(j, "low", -1), -JSON_INT_MAX);
    ok(json_bool(j, "b", false));
    ok(json_bool(j, "s", true));
    ok(!json_bool(NULL, "b", false));
    is_int(json_len(a), 2);
    is_int(json_len(j), 8);
    is_int(json_len(json_get(j, "s")), 0);
    is_int(json_len(NULL), 0);
    is_int(json_value_int(json_at(a, 1), 0), 2);
    ok(json_at(a, 2) == NULL);
    ok(json_at(NULL, 0) == NULL);
    ok(json_is_object(j) && json_is_array(a) && json_is_null(json_get(j, "z")));
    ok(json_is_string(json_get(j, "s")) && json_is_number(json_get(j, "n")));
    ok(!json_is_object(NULL) && !json_is_array(NULL) && !json_is_string(NULL) &&
       !json_is_number(NULL) && !json_is_null(NULL));
    is_str(json_key(json_first(j)), "s");
    is_str(json_key(json_first(a)), NULL);
    is_str(json_key(NULL), NULL);
    ok(json_next(NULL) == NULL && json_first(json_get(j, "s")) == NULL);
    json_free(j);
    json_free(NULL);
}

static void builds(void)
{
    struct json *j = json_object();
    struct json *arr = json_array();
    struct json *copy;
    char *s;
    int n = 0;

    json_set_str(j, "a", "1");
    json_set_str(j, "null", NULL);
    json_set_int(j, "n", (INT64_C(1) << 53));
    json_set_bool(j, "b", true);
    json_push_str(arr, "x");
    json_push(arr, json_number(1.5));
    json_push(arr, json_boolean(false));
    json_push(arr, json_null());
    json_set(j, "arr", arr);
    json_set_str(j, "a", "2"); /* replaced where it stands */
    s = json_print(j);
    is_str(s, "{\"a\":\"2\",\"null\":null,\"n\":9007199254740992,\"b\":true,"
              "\"arr\":[\"x\",1.5,false,null]}");
    free(s);
    copy = json_copy(j);
    ok(json_equal(j, copy) && copy != j);
    json_unset(j, "b");
    json_unset(j, "absent");
    ok(!json_equal(j, copy));
    json_set(copy, "b", json_copy(json_get(j, "absent"))); /* what is not there is not set */
    ok(json_equal(j, copy));
    JSON_FOREACH (m, j)
        n += json_key(m) != NULL;
    is_int(n, 4);
    json_free(copy);
    json_free(j);
    ok(json_copy(NULL) == NULL);
    ok(json_equal(NULL, NULL) && !json_equal(NULL, j = json_null()));
    json_free(j);
}

static void equality(void)
{
    struct json *a = parse("{\"x\":1,\"y\":[1,2]}");
    struct json *b = parse("{\"y\":[1,2],\"x\":1}");
    struct json *c = parse("{\"y\":[2,1],\"x\":1}");
    struct json *d = parse("{\"X\":1,\"y\":[1,2]}");

    ok(json_equal(a, b));
    ok(!json_equal(a, c));
    ok(!json_equal(a, d));
    json_free(a);
    json_free(b);
    json_free(c);
    json_free(d);
}

static void pretty(void)
{
    struct json *j = parse("{\"a\":[1,{\"b\":[]}],\"c\":{}}");
    char *s = json_print_pretty(j);

    is_str(s, "{\n  \"a\": [\n    1,\n    {\n      \"b\": []\n    }\n  ],\n  \"c\": {}\n}\n");
    free(s);
    json_free(j);
}

static void always_parses(void)
{
    char text[258];
    struct json *j, *back;
    struct err err = ERR_INIT;
    char *s;

    for (int i = 0; i < 255; i++)
        text[i] = (char)(i + 1);
    text[255] = '\0';
    j = json_object();
    json_set_str(j, text, text);
    json_set(j, "nan", json_number(0.0 / 0.0));
    json_set(j, "inf", json_number(1e308 * 10));
    s = json_print(j);
    ok(strstr(s, "\xff") == NULL);
    has_str(s, "\"nan\":null");
    has_str(s, "\"inf\":null");
    back = json_parse(s, strlen(s), &err);
    ok(back != NULL);
    ok(strncmp(json_value_str(json_first(back)), text, 127) == 0);
    json_free(back);
    free(s);
    json_free(j);
}

/* Numbers do not follow the user's language. */
static void other_locale(void)
{
    struct json *j;
    char *s;

    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8"))
        setlocale(LC_NUMERIC, "C");
    j = json_number(2.5);
    s = json_print(j);
    is_str(s, "2.5");
    free(s);
    json_free(j);
    setlocale(LC_NUMERIC, "C");
}

int main(void)
{
    TAP_RUN(TAP_TEST(round_trips), TAP_TEST(refuses), TAP_TEST(needs_no_terminator),
            TAP_TEST(nests_to_the_limit), TAP_TEST(getters_trust_nothing), TAP_TEST(builds),
            TAP_TEST(equality), TAP_TEST(pretty), TAP_TEST(always_parses), TAP_TEST(other_locale));
}
