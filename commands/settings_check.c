/* What may be a name, a host or an address in the configuration. */
#include <ctype.h>
#include <string.h>

#include "commands/settings.h"

static int no_address(const char *url, const char *what, struct err *err)
{
    err_set(err, ERR_INPUT, "\"%s\" is no address of %s", url, what);
    return err_advise(err, "addresses are written http://HOST:PORT or https://HOST:PORT");
}

int settings_check_url(const char *url, const char *what, struct err *err)
{
    const char *host = url;

    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return no_address(url, what, err);
    host = strchr(host, '/') + 2;
    if (strchr("/?#:", host[0]) != NULL || strpbrk(host, "?# \t") != NULL)
        return no_address(url, what, err);
    if (strchr(url, '@') != NULL) {
        err_set(err, ERR_INPUT, "credentials do not belong into an address");
        return err_advise(err, "use -user and -password-file, or -token-file");
    }
    return 0;
}

/* An otpNode such as ns_1@host may stand before the sign of equality. */
int settings_check_agent(const char *agent, struct err *err)
{
    const char *equals = strchr(agent, '=');

    if (equals == agent || (equals != NULL && strcspn(agent, " \t/") < (size_t)(equals - agent))) {
        err_set(err, ERR_INPUT, "\"%s\" names no node before the sign of equality", agent);
        return err_advise(err, "agents are written https://HOST:PORT, or NODE=https://HOST:PORT "
                               "where the store knows the node by another name");
    }
    return settings_check_url(equals ? equals + 1 : agent, "an agent", err);
}

int settings_check_name(const char *name, struct err *err)
{
    size_t n = 0;

    while (isalnum((unsigned char)name[n]) || (n > 0 && name[n] && strchr("._-", name[n])))
        n++;
    if (n == 0 || name[n] != '\0' || n > 255)
        return err_set(err, ERR_INPUT,
                       "\"%s\" cannot be the name of a store: letters, digits, '.', '_' and '-', "
                       "beginning with a letter or digit, at most 255",
                       name);
    return 0;
}

int settings_check_label(const char *what, const char *name, struct err *err)
{
    size_t n = 0;

    while (name[n] && !iscntrl((unsigned char)name[n]))
        n++;
    if (n == 0 || name[n] != '\0' || n > 255 || name[0] == '-')
        return err_set(err, ERR_INPUT,
                       "\"%s\" cannot be the name of a %s: no control characters, no '-' in front, "
                       "1 to 255 bytes",
                       name, what);
    return 0;
}

int settings_check_host(const char *host, struct err *err)
{
    bool v6 = strchr(host, ':') != NULL;
    size_t n = 0;

    while (isalnum((unsigned char)host[n]) || (host[n] && strchr(v6 ? ":.%" : "._-", host[n])))
        n++;
    /* One colon alone is a port behind a name. */
    if (n > 0 && host[n] == '\0' && n <= 255 && (!v6 || strchr(host, ':') != strrchr(host, ':')))
        return 0;
    err_set(err, ERR_INPUT, "\"%s\" is no host", host);
    return err_advise(err, "give the name or the address alone, and the port by -port");
}
