/* The store as ping and verify configuration draw it. */
#pragma once

#include "kvsh/cluster.h"
#include "kvsh/out.h"

struct status_tables {
    const struct out_table *store, *zones, *checking, *nodes, *admins, *services;
};
extern const struct out_table ping_store, ping_zones, ping_nodes, ping_admins, ping_services;
extern const struct out_table verify_store, verify_zones, verify_checking, verify_nodes,
    verify_admins, verify_services;
extern const struct status_tables ping_tables, verify_tables;

void out_status(struct out *out, const struct status_tables *t, const struct cluster *c);
