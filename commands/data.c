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

void data_end(struct data *d)
{
    json_free(d->docs);
    d->docs = NULL;
}
