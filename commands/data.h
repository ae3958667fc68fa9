/* What put, get and delete share: the engine with its connection and the documents it needs. */
#pragma once

#include "commands/session.h"

struct data {
    const struct engine *engine;
    struct connection *connection;
    struct json *docs;
};

/* ERR_INPUT when the engine offers no look at the data. End with data_end() in every case. */
int data_begin(struct data *d, struct session *s, struct err *err);
/* Keys and values are UTF-8; ERR_INPUT for others, which would not be stored as they are. */
int data_check_text(const char *what, const char *text, struct err *err);
void data_end(struct data *d);
