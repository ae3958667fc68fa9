/* TLS of the HTTP client: whom it trusts, and what it says when it does not. */
#include "tap.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <microhttpd.h>

#include "kvsh/fs.h"
#include "kvsh/http.h"
#include "kvsh/mem.h"

/* A key and a certificate signed by its own key, as text and as files. */
struct identity {
    char *key;
    char *cert;
    char *key_file;
    char *cert_file;
};

static char dir[64];

static char *pem_text(gnutls_datum_t *d)
{
    char *s = xstrndup((const char *)d->data, d->size);

    gnutls_free(d->data);
    return s;
}

static char *pem_file(const char *name, const char *kind, const char *text)
{
    char *path = xasprintf("%s/%s.%s", dir, name, kind);
    struct err err = ERR_INIT;

    is_int(fs_write_atomic(path, text, strlen(text), 0600, &err), 0);
    return path;
}

static struct identity identity_new(const char *name, bool for_loopback)
{
    const unsigned char address[4] = {127, 0, 0, 1};
    struct identity id = {0};
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t crt;
    gnutls_datum_t d;
    time_t now = time(NULL);

    gnutls_x509_privkey_init(&key);
    gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                 GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    gnutls_x509_crt_init(&crt);
    gnutls_x509_crt_set_version(crt, 3);
    gnutls_x509_crt_set_serial(crt, "\x01", 1);
    gnutls_x509_crt_set_dn(crt, "CN=test node", NULL);
    gnutls_x509_crt_set_issuer_dn(crt, "CN=test node", NULL);
    gnutls_x509_crt_set_activation_time(crt, now - 3600);
    gnutls_x509_crt_set_expiration_time(crt, now + 3600);
    gnutls_x509_crt_set_basic_constraints(crt, 1, -1);
    if (for_loopback)
        gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, address, sizeof address,
                                             GNUTLS_FSAN_SET);
    gnutls_x509_crt_set_key(crt, key);
    is_int(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0), 0);
    gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &d);
    id.key = pem_text(&d);
    gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &d);
    id.cert = pem_text(&d);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
    id.key_file = pem_file(name, "key", id.key);
    id.cert_file = pem_file(name, "crt", id.cert);
    return id;
}

static void identity_release(struct identity *id)
{
    unlink(id->key_file);
    unlink(id->cert_file);
    free(id->key);
    free(id->cert);
    free(id->key_file);
    free(id->cert_file);
}

static bool client_is_known(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    gnutls_session_t session = info ? info->tls_session : NULL;
    unsigned status = 1;

    return session && gnutls_certificate_verify_peers2(session, &status) == 0 && status == 0;
}

static enum MHD_Result serve(void *cls, struct MHD_Connection *c, const char *url,
                             const char *method, const char *version, const char *data,
                             size_t *size, void **state)
{
    static char known[] = "known client", unknown[] = "unknown client";
    char *text = cls && client_is_known(c) ? known : unknown;
    struct MHD_Response *r =
        MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result rc = MHD_queue_response(c, 200, r);

    (void)url;
    (void)method;
    (void)version;
    (void)data;
    (void)size;
    (void)state;
    MHD_destroy_response(r);
    return rc;
}

static void quiet_log(void *cls, const char *fmt, va_list ap)
{
    (void)cls;
    (void)fmt;
    (void)ap;
}

/* A TLS server with that identity; with a client, it asks for and trusts that client's certificate.
 */
static struct MHD_Daemon *server_start(const struct identity *id, struct identity *client,
                                       char url[64])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct MHD_OptionItem trust[] = {
        {client ? MHD_OPTION_HTTPS_MEM_TRUST : MHD_OPTION_END, 0, client ? client->cert : NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_Daemon *d = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_TLS | MHD_USE_ERROR_LOG, 0, NULL, NULL, serve,
        client, MHD_OPTION_EXTERNAL_LOGGER, quiet_log, NULL, MHD_OPTION_SOCK_ADDR, &address,
        MHD_OPTION_HTTPS_MEM_KEY, id->key, MHD_OPTION_HTTPS_MEM_CERT, id->cert, MHD_OPTION_ARRAY,
        trust, MHD_OPTION_END);

    ok(d != NULL);
    snprintf(url, 64, "https://127.0.0.1:%d/x",
             d ? MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT)->port : 0);
    return d;
}

/* One GET; the code of its outcome, its body in text. */
static enum err_code get(const struct http_config *config, const char *url, struct err *err,
                         char text[64])
{
    struct http_request req = {.method = "GET",
                               .url = url,
                               .connect_timeout_ms = 20000 * tap_slower(),
                               .timeout_ms = 30000 * tap_slower()};
    struct http *h = http_open(config, err);
    struct http_response resp;

    err_clear(err);
    http_perform(h, &req, &resp, err);
    snprintf(text, 64, "%s", resp.body);
    http_response_release(&resp);
    http_close(h);
    return err->code;
}

static void trusts_by_ca_file(void)
{
    struct identity id = identity_new("node", true);
    struct identity other = identity_new("other", true);
    struct http_config config = {0};
    struct err err = ERR_INIT;
    struct MHD_Daemon *d;
    char url[64], text[64];

    d = server_start(&id, NULL, url);
    is_int(get(&config, url, &err, text), ERR_DENIED);
    has_str(err.text, "TLS with 127.0.0.1:");
    has_str(err.advice, "ca-file");
    config.ca_file = other.cert_file;
    is_int(get(&config, url, &err, text), ERR_DENIED);
    config.ca_file = id.cert_file;
    is_int(get(&config, url, &err, text), ERR_OK);
    is_str(text, "unknown client");
    config.ca_file = "/nonexistent/ca";
    is_int(get(&config, url, &err, text), ERR_DENIED);
    has_str(err.advice, "ca-file");
    config = (struct http_config){.no_tls_verify = true};
    is_int(get(&config, url, &err, text), ERR_OK);
    MHD_stop_daemon(d);
    identity_release(&other);
    identity_release(&id);
}

static void checks_the_name(void)
{
    struct identity id = identity_new("nameless", false);
    struct http_config config = {.ca_file = id.cert_file};
    struct err err = ERR_INIT;
    struct MHD_Daemon *d;
    char url[64], text[64];

    d = server_start(&id, NULL, url);
    is_int(get(&config, url, &err, text), ERR_DENIED);
    MHD_stop_daemon(d);
    identity_release(&id);
}

static void shows_its_certificate(void)
{
    struct identity id = identity_new("node", true);
    struct identity client = identity_new("client", false);
    struct http_config config = {.ca_file = id.cert_file};
    struct err err = ERR_INIT;
    struct MHD_Daemon *d;
    char url[64], text[64];

    d = server_start(&id, &client, url);
    config.cert_file = client.cert_file;
    config.key_file = client.key_file;
    is_int(get(&config, url, &err, text), ERR_OK);
    is_str(text, "known client");
    config.key_file = "/nonexistent/key";
    is_int(get(&config, url, &err, text), ERR_DENIED);
    MHD_stop_daemon(d);
    identity_release(&client);
    identity_release(&id);
}

/* A server that ends TLS with an alert when the client shows no certificate, before it reads
 * anything. */
struct strict {
    const struct identity *id;
    int fd;
};

static void *strict_run(void *arg)
{
    struct strict *s = arg;
    int c = accept(s->fd, NULL, NULL);
    gnutls_certificate_credentials_t cred;
    gnutls_session_t session;
    int rc;

    gnutls_certificate_allocate_credentials(&cred);
    gnutls_certificate_set_x509_key_file(cred, s->id->cert_file, s->id->key_file,
                                         GNUTLS_X509_FMT_PEM);
    gnutls_init(&session, GNUTLS_SERVER);
    gnutls_set_default_priority(session);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, cred);
    gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
    gnutls_transport_set_int(session, c);
    do
        rc = gnutls_handshake(session);
    while (rc < 0 && !gnutls_error_is_fatal(rc));
    if (rc < 0)
        gnutls_alert_send(session, GNUTLS_AL_FATAL, GNUTLS_A_CERTIFICATE_REQUIRED);
    gnutls_deinit(session);
    gnutls_certificate_free_credentials(cred);
    shutdown(c, SHUT_WR);
    while (recv(c, &rc, 1, 0) > 0) /* an early close would reset, and the alert be lost */
        ;
    close(c);
    return NULL;
}

static void certificate_is_required(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct identity id = identity_new("node", true);
    struct http_config config = {.ca_file = id.cert_file};
    struct strict s = {&id, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct err err = ERR_INIT;
    socklen_t len = sizeof a;
    char url[64], text[64];
    pthread_t thread;

    is_int(bind(s.fd, (struct sockaddr *)&a, sizeof a), 0);
    is_int(listen(s.fd, 1), 0);
    is_int(getsockname(s.fd, (struct sockaddr *)&a, &len), 0);
    snprintf(url, sizeof url, "https://127.0.0.1:%d/x", ntohs(a.sin_port));
    is_int(pthread_create(&thread, NULL, strict_run, &s), 0);
    is_int(get(&config, url, &err, text), ERR_DENIED);
    has_str(err.text, "does not accept our certificate");
    has_str(err.advice, "cert-file");
    pthread_join(thread, NULL);
    close(s.fd);
    identity_release(&id);
}

/* The other end does not speak TLS: nothing of the request was sent. */
static void no_tls_there(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct http_config config = {0};
    struct err err = ERR_INIT;
    struct MHD_Daemon *d =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ERROR_LOG, 0, NULL, NULL, serve,
                         NULL, MHD_OPTION_EXTERNAL_LOGGER, quiet_log, NULL, MHD_OPTION_SOCK_ADDR,
                         &address, MHD_OPTION_END);
    char url[64], text[64];

    snprintf(url, sizeof url, "https://127.0.0.1:%d/x",
             MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT)->port);
    is_int(get(&config, url, &err, text), ERR_UNREACHABLE);
    has_str(err.text, "connect to 127.0.0.1:");
    MHD_stop_daemon(d);
}

int main(void)
{
    static const struct tap_test tests[] = {
        TAP_TEST(trusts_by_ca_file),     TAP_TEST(checks_the_name),
        TAP_TEST(shows_its_certificate), TAP_TEST(certificate_is_required),
        TAP_TEST(no_tls_there),
    };
    int rc;

    snprintf(dir, sizeof dir, "/tmp/kvsh-test-tls.XXXXXX");
    if (!mkdtemp(dir))
        return 1;
    rc = tap_run(tests, (int)(sizeof tests / sizeof *tests));
    return rmdir(dir) < 0 || rc;
}
