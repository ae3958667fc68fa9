#include "commands/data.h"

int data_begin(struct data *d, struct session *s, struct err *err)
{
    struct journal *j = session_journal(s, err);
    int64_t version;

    *d = (struct data){0};
    if (j == NULL || (d->engine = session_engine(s, err)) == NULL)
        return -1;
    if (d->engine->put == NULL || d->engine->get == NULL || d->engine->del == NULL ||
        d->engine->scan == NULL)
        return err_set(err, ERR_INPUT, "a store of engine %s gives no look at its data from here",
                       d->engine->name);
    if ((d->connection = session_connection(s, err)) == NULL)
        return -1;
    return journal_docs(j, &d->docs, &version, err);
}

int data_check_text(const char *what, const char *text, struct err *err)
{
    size_t bad = json_text_fault(text);

    if (text[bad] == '\0')
        return 0;
    err_set(err, ERR_INPUT, "the %s is no UTF-8 text: byte %zu is 0x%02x", what, bad + 1,
            (unsigned)(unsigned char)text[bad]);
    return err_advise(err, "nothing was asked of the store; its own tools take any bytes");
}

void data_end(struct data *d)
{
    json_free(d->docs);
    d->docs = NULL;
}
