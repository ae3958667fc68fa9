/* The handlers of the routes. Each: 0 with the reply filled, or -1 with the problem filled. */
#pragma once

#include "agent/request.h"

#define HANDLER(name) \
    int name(struct agent *a, const struct request *rq, struct reply *rp, struct problem *pb)

HANDLER(live_get);
HANDLER(ready_get);
HANDLER(metrics_get);
HANDLER(node_get);
HANDLER(node_put);
HANDLER(node_delete);
HANDLER(service_put);
HANDLER(service_delete);
HANDLER(service_start_post);
HANDLER(service_stop_post);
HANDLER(operation_get);
HANDLER(events_get);
HANDLER(lease_put);
HANDLER(lease_delete);
HANDLER(metadata_get_doc);
HANDLER(metadata_put_doc);
HANDLER(meet_post);
HANDLER(set_epoch_post);
HANDLER(add_slots_post);
HANDLER(replicate_post);
HANDLER(forget_post);
HANDLER(failover_post);
HANDLER(data_post);
HANDLER(wipe_post);
HANDLER(remove_data_post);
HANDLER(check_data_post);
HANDLER(set_slot_post);
HANDLER(move_keys_post);
HANDLER(count_keys_post);
