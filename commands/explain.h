/* -explain: the same with the store's own tools. */
#pragma once

#include "commands/session.h"
#include "kvsh/out.h"

/*
 * Adds rows of table_explain: for each task the commands a person could type. Looks at the store
 * for what they need; when that fails, they are made from what is declared, and a note says so.
 */
int explain_plan(struct session *s, const struct plan *p, struct out *out, struct err *err);
