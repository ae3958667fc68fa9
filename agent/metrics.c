/* GET /metrics: OpenMetrics text. */
#include <stdio.h>
#include <string.h>

#include "kvsh/buf.h"
#include "kvsh/fs.h"

#include "agent/handlers.h"

static void family(struct buf *b, const char *name, const char *type, const char *help)
{
    buf_addf(b, "# TYPE %s %s\n# HELP %s %s\n", name, type, name, help);
}

/* Paths hold no quotes, backslashes or newlines: makebootconfig sees to it. */
static void storage_metrics(struct buf *b, const struct agent *a)
{
    family(b, "kvagentd_storage_dir_ok", "gauge", "1 when the directory is there and writable.");
    for (size_t i = 0; i < a->boot.n_storage_dirs; i++)
        buf_addf(b, "kvagentd_storage_dir_ok{path=\"%s\"} %d\n", a->boot.storage_dirs[i],
                 a->dirs[i].health.state == DIR_OK);
    family(b, "kvagentd_storage_dir_free_bytes", "gauge", "Free space of the directory's disk.");
    for (size_t i = 0; i < a->boot.n_storage_dirs; i++)
        if (a->dirs[i].health.free_bytes >= 0)
            buf_addf(b, "kvagentd_storage_dir_free_bytes{path=\"%s\"} %lld\n",
                     a->boot.storage_dirs[i], (long long)a->dirs[i].health.free_bytes);
}

static void service_metrics(struct buf *b, const struct agent *a)
{
    family(b, "kvagentd_service_up", "gauge", "1 when the service runs.");
    for (size_t i = 0; i < a->n_services; i++) {
        const struct service *s = a->services[i];

        buf_addf(b, "kvagentd_service_up{service=\"%s\"} %d\n", s->id,
                 s->kind == SERVICE_REDIS ? s->proc.pid != 0 : s->state == STATE_RUNNING);
    }
    family(b, "kvagentd_service_wanted", "gauge", "1 when the service is wanted up.");
    for (size_t i = 0; i < a->n_services; i++)
        if (a->services[i]->kind != SERVICE_UNIT)
            buf_addf(b, "kvagentd_service_wanted{service=\"%s\"} %d\n", a->services[i]->id,
                     a->services[i]->wanted_up);
}

static void request_metrics(struct buf *b, struct agent *a)
{
    family(b, "kvagentd_requests", "counter", "Requests answered, by class of status.");
    for (int i = 2; i < 6; i++)
        buf_addf(b, "kvagentd_requests_total{status=\"%dxx\"} %llu\n", i,
                 (unsigned long long)atomic_load(&a->count.requests[i]));
    family(b, "kvagentd_restarts", "counter", "Starts the agent has tried by itself.");
    buf_addf(b, "kvagentd_restarts_total %llu\n",
             (unsigned long long)atomic_load(&a->count.restarts));
}

HANDLER(metrics_get)
{
    struct buf b;

    (void)rq, (void)pb;
    buf_init(&b, 0);
    family(&b, "kvagentd", "info", "Version of the agent.");
    buf_addf(&b, "kvagentd_info{version=\"%s\"} 1\n", PACKAGE_VERSION);
    family(&b, "kvagentd_start_time_seconds", "gauge", "Start of the agent since 1970.");
    buf_addf(&b, "kvagentd_start_time_seconds %lld.%03d\n", (long long)(a->started_ms / 1000),
             (int)(a->started_ms % 1000));
    family(&b, "kvagentd_events", "counter", "Events recorded in the node's life.");
    buf_addf(&b, "kvagentd_events_total %lld\n", (long long)events_last(a->events));
    request_metrics(&b, a);
    pthread_mutex_lock(&a->lock);
    storage_metrics(&b, a);
    service_metrics(&b, a);
    pthread_mutex_unlock(&a->lock);
    buf_adds(&b, "# EOF\n");
    rp->text = buf_take(&b);
    rp->content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    buf_release(&b);
    return 0;
}
