/* What may be a name and what may be a parameter: the only words from the network that reach files.
 */
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "agent/services.h"

static bool matches(const char *s, const char *pattern)
{
    regex_t re;
    bool good;

    if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    good = regexec(&re, s, 0, NULL, 0) == 0;
    regfree(&re);
    return good;
}

bool name_is_store(const char *s)
{
    static const char more[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t len = strlen(s);

    return len >= 1 && len < STORE_MAX && strspn(s, more) == len && !strchr("._-", s[0]);
}

/* Length of "prefix" and a number of 1..999999 at the start of s; 0 when it is not there. */
static size_t numbered(const char *s, const char *prefix)
{
    size_t n = strlen(prefix), digits;

    if (strncmp(s, prefix, n) != 0)
        return 0;
    digits = strspn(s + n, "0123456789");
    return digits >= 1 && digits <= 6 && s[n] != '0' ? n + digits : 0;
}

bool name_is_numbered(const char *s, const char *prefix)
{
    size_t n = numbered(s, prefix);

    return n && s[n] == '\0';
}

bool name_is_rn(const char *s)
{
    size_t n = numbered(s, "rg");

    return n && s[n] == '-' && name_is_numbered(s + n + 1, "rn");
}

bool name_is_secret(const char *s)
{
    return strlen(s) == SECRET_HEX && strspn(s, "0123456789abcdef") == SECRET_HEX;
}

#define SIZE_PATTERN "^[0-9]{1,15}([kKmMgG][bB]?)?$"

static const struct {
    const char *name, *pattern, *form;
} params[] = {
    {"maxmemory", SIZE_PATTERN, "a size such as 100mb"},
    {"maxmemory-policy",
     "^(noeviction|allkeys-lru|allkeys-lfu|allkeys-random|volatile-lru|volatile-lfu|"
     "volatile-random|volatile-ttl)$",
     "an eviction policy such as noeviction"},
    {"cluster-node-timeout", "^[1-9][0-9]{2,5}$", "milliseconds from 100 to 999999"},
    {"repl-backlog-size", SIZE_PATTERN, "a size such as 64mb"},
    {"appendfsync", "^(always|everysec|no)$", "always, everysec or no"},
};

int param_check(const char *name, const char *value, struct problem *pb)
{
    for (size_t i = 0; i < sizeof params / sizeof *params; i++) {
        if (strcmp(name, params[i].name) != 0)
            continue;
        if (value && strlen(value) < 64 && matches(value, params[i].pattern))
            return 0;
        return problem_set(pb, PROBLEM_INVALID, "parameter %s: the value must be %s", name,
                           params[i].form);
    }
    problem_set(pb, PROBLEM_INVALID, "parameter \"%.64s\" is not known", name);
    return problem_advise(pb, "known are maxmemory, maxmemory-policy, cluster-node-timeout, "
                              "repl-backlog-size and appendfsync");
}
