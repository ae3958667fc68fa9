/*
 * The declared store: documents (kind, name, JSON) kept in the journal and copied to the admins.
 *
 *   kind      name          document
 *   store     store         {"name","engine","partitions","sequence","serial","uuid"}
 *                           serial: {"zn":n,"sn":n,"admin":n,"rg":n}, the numbers used so far;
 *                           uuid: of a foreign store, as first observed
 *   zone      zn1           {"name","rf","type"}
 *   sn        sn1           {"zone","host","port","url"}
 *   admin     admin1        {"sn","port","stoppedBy"}
 *   shard     rg1           {"slots":[[first,last],...],"partitions"}
 *   rn        rg1-rn1       {"shard","sn","storageDir","port","busPort","firstPrimary",
 *                            "stoppedBy"}
 *   pool      snpool        {"members":["sn1",...]}
 *   policy    policy        {"params":{"name":"value"}}
 *   topology  store-layout  a candidate: {"pool","partitions","sequence",
 *                            "shards":{id: shard doc},"rns":{id: rn doc}}
 *
 * A document set is a JSON object {kind: {name: doc}}. Changes are effects, an array of
 *
 *   {"kind","name","doc": {...}}    replaces or creates the document
 *   {"kind","name","doc": null}     deletes it
 *   {"kind","name","merge": {...}}  changes members of a document that is there (RFC 7396: null
 *                                   removes a member); an absent document stays absent
 *
 * A member with the string "@plan" becomes the number of the plan that has the effect. Effects are
 * applied by the journal in the transaction that marks their task SUCCEEDED, so a declared fact and
 * the step that made it true never part.
 */
#pragma once

#include "kvsh/cluster.h"
#include "kvsh/json.h"

/* Fills c (zero-initialised) from the document set, which is copied. Unknown kinds are ignored; a
 * broken document is ERR_INPUT naming it. Observed fields get their "not asked" values. */
int meta_to_cluster(const struct json *docs, struct cluster *c, struct err *err);

/* The document, or NULL. Borrowed. */
const struct json *meta_doc(const struct json *docs, const char *kind, const char *name);

/* Add an effect; both take the document (meta_effect: NULL deletes). */
void meta_effect(struct json *effects, const char *kind, const char *name, struct json *doc);
void meta_effect_merge(struct json *effects, const char *kind, const char *name,
                       struct json *merge);

/* What one effect makes of the present document (NULL: absent): the new one (the caller's), or
 * NULL: none. */
struct json *meta_effect_result(const struct json *present, const struct json *effect,
                                int64_t plan_id);
/* Applies effects to a document set in memory. */
void meta_apply(struct json *docs, const struct json *effects, int64_t plan_id);
