/*
 * make_certs DIR: writes keys and certificates for the tests, valid for an hour: server and client,
 * signed by ca; stranger, signed by itself. Signed by ca as well: expired, since half an hour, and
 * elsewhere, which names another host. DIR/NAME.crt and DIR/NAME.key, 0600.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/x509.h>

struct identity {
    const char *name;
    int expires;      /* seconds from now; 0: an hour */
    const char *host; /* NULL: 127.0.0.1 */
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t crt;
};

static void must(int rc, const char *what)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, gnutls_strerror(rc));
    exit(1);
}

static void write_file(const char *dir, const char *name, const char *kind, gnutls_datum_t *data)
{
    char path[1024];
    int fd;

    snprintf(path, sizeof path, "%s/%s.%s", dir, name, kind);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, data->data, data->size) != (ssize_t)data->size) {
        perror(path);
        exit(1);
    }
    close(fd);
    gnutls_free(data->data);
}

static void make(struct identity *id, unsigned char serial, const struct identity *issuer)
{
    const unsigned char address[4] = {127, 0, 0, 1};
    time_t now = time(NULL);
    char dn[64];

    snprintf(dn, sizeof dn, "CN=test %s", id->name);
    must(gnutls_x509_privkey_init(&id->key), "key");
    must(gnutls_x509_privkey_generate(id->key, GNUTLS_PK_ECDSA,
                                      GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
         "key");
    must(gnutls_x509_crt_init(&id->crt), "certificate");
    must(gnutls_x509_crt_set_version(id->crt, 3), "version");
    must(gnutls_x509_crt_set_serial(id->crt, &serial, 1), "serial");
    must(gnutls_x509_crt_set_dn(id->crt, dn, NULL), "name");
    must(gnutls_x509_crt_set_activation_time(id->crt, now - 3600), "time");
    must(gnutls_x509_crt_set_expiration_time(id->crt, now + (id->expires ? id->expires : 3600)),
         "time");
    must(gnutls_x509_crt_set_basic_constraints(id->crt, issuer == id, -1), "constraints");
    if (id->host != NULL)
        must(gnutls_x509_crt_set_subject_alt_name(id->crt, GNUTLS_SAN_DNSNAME, id->host,
                                                  (unsigned)strlen(id->host), GNUTLS_FSAN_SET),
             "host");
    else
        must(gnutls_x509_crt_set_subject_alt_name(id->crt, GNUTLS_SAN_IPADDRESS, address,
                                                  sizeof address, GNUTLS_FSAN_SET),
             "address");
    must(gnutls_x509_crt_set_key(id->crt, id->key), "key");
    must(gnutls_x509_crt_sign2(id->crt, issuer->crt, issuer->key, GNUTLS_DIG_SHA256, 0), "sign");
}

static void save(struct identity *id, const char *dir)
{
    gnutls_datum_t data;

    must(gnutls_x509_privkey_export2(id->key, GNUTLS_X509_FMT_PEM, &data), "export");
    write_file(dir, id->name, "key", &data);
    must(gnutls_x509_crt_export2(id->crt, GNUTLS_X509_FMT_PEM, &data), "export");
    write_file(dir, id->name, "crt", &data);
}

int main(int argc, char **argv)
{
    struct identity ca = {.name = "ca"}, server = {.name = "server"}, client = {.name = "client"},
                    stranger = {.name = "stranger"},
                    expired = {.name = "expired", .expires = -1800},
                    elsewhere = {.name = "elsewhere", .host = "cb9.example"};
    struct identity *all[] = {&ca, &server, &client, &stranger, &expired, &elsewhere};

    if (argc != 2) {
        fprintf(stderr, "usage: make_certs DIR\n");
        return 64;
    }
    make(&ca, 1, &ca);
    make(&server, 2, &ca);
    make(&client, 3, &ca);
    make(&stranger, 4, &stranger);
    make(&expired, 5, &ca);
    make(&elsewhere, 6, &ca);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        save(all[i], argv[1]);
        gnutls_x509_crt_deinit(all[i]->crt);
        gnutls_x509_privkey_deinit(all[i]->key);
    }
    return 0;
}
