#include "agent/auth.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include <gnutls/gnutls.h>
#include <microhttpd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

enum { TOKEN_MIN = 16, PEM_MAX = 1 << 20 };

static int read_token(struct auth *au, const struct bootconfig *b, struct err *err)
{
    if (!b->token_file)
        return 0;
    au->token = fs_read_secret(b->token_file, err);
    if (!au->token)
        return -1;
    if (strlen(au->token) < TOKEN_MIN)
        return err_set(err, ERR_INPUT, "token file %s: the token is shorter than %d characters",
                       b->token_file, TOKEN_MIN);
    return 0;
}

static int read_pem(char **pem, const char *path, bool is_private, struct err *err)
{
    struct stat st;

    if (!path)
        return 0;
    if (is_private && stat(path, &st) == 0 && (st.st_mode & 077)) {
        err_set(err, ERR_DENIED, "key file %s is open to group or others", path);
        return err_advise(err, "chmod 600 %s", path);
    }
    *pem = fs_read(path, PEM_MAX, NULL, err);
    return *pem ? 0 : -1;
}

struct auth *auth_new(const struct bootconfig *b, struct err *err)
{
    struct auth *au = xcalloc(1, sizeof *au);

    if (read_token(au, b, err) == 0 && read_pem(&au->cert, b->tls_cert, false, err) == 0 &&
        read_pem(&au->key, b->tls_key, true, err) == 0 &&
        read_pem(&au->client_ca, b->tls_client_ca, false, err) == 0)
        return au;
    auth_free(au);
    return NULL;
}

static void wipe(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

void auth_free(struct auth *au)
{
    if (!au)
        return;
    wipe(au->token);
    wipe(au->key);
    free(au->cert);
    free(au->client_ca);
    free(au);
}

bool token_equal(const char *a, const char *b)
{
    size_t an = strlen(a), bn = strlen(b);
    volatile unsigned char diff = (unsigned char)(an != bn);

    for (size_t i = 0; i < an; i++)
        diff |= (unsigned char)(a[i] ^ b[bn ? i % bn : 0]);
    return diff == 0;
}

static bool has_token(const struct auth *au, struct MHD_Connection *c)
{
    static const char scheme[] = "Bearer ";
    const char *value =
        MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);

    return value && strncasecmp(value, scheme, sizeof scheme - 1) == 0 &&
           token_equal(value + sizeof scheme - 1, au->token);
}

static bool has_certificate(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    unsigned status = 1;

    return info && info->tls_session &&
           gnutls_certificate_verify_peers2(info->tls_session, &status) == 0 && status == 0;
}

int auth_check(const struct auth *au, struct MHD_Connection *c, struct problem *pb)
{
    if (au->client_ca && !has_certificate(c))
        return problem_set(pb, PROBLEM_UNAUTHORIZED,
                           "a client certificate of this agent's authority is needed");
    if (au->token && !has_token(au, c))
        return problem_set(pb, PROBLEM_UNAUTHORIZED, "the token is missing or wrong");
    /* A web page that a browser on this host shows must not give orders. */
    if (!au->token && !au->client_ca &&
        MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_ORIGIN))
        return problem_set(pb, PROBLEM_UNAUTHORIZED,
                           "requests of web pages are not served without a token");
    return 0;
}
