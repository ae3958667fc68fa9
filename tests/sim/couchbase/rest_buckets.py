"""Buckets: reading, compaction, flush, deletion."""
from __future__ import annotations

from typing import Any, Dict, Optional

from . import view
from .model import Bucket
from .router import SETTINGS, Context, route
from .wire import Refused, Reply, as_json, empty, errors, not_found, text

BUCKETS = "cluster.buckets!write"
BASE = "/pools/default/buckets"
ONE = BASE + "/{bucket}"


def find(ctx: Context) -> Bucket:
    """The bucket of the path."""
    bucket = ctx.cluster.buckets.get(ctx.args["bucket"])
    if bucket is None:
        raise Refused(not_found())
    return bucket


def with_map(ctx: Context) -> bool:
    """?skipMap=true leaves the map out."""
    value = ctx.query.one("skipMap")
    if value not in (None, "true", "false"):
        raise Refused(errors({"skipMap": "The value must be one of the following: [true,false]"}))
    return value != "true"


@route("GET", BASE, query=("skipMap", "v"))
def buckets(ctx: Context) -> Reply:
    """All buckets."""
    mapped = with_map(ctx)
    return as_json([view.bucket_object(ctx.world, ctx.host, bucket, mapped)
                    for bucket in ctx.cluster.buckets.values()])


@route("GET", ONE, query=("skipMap", "bucket_uuid"))
def bucket_info(ctx: Context) -> Reply:
    """One bucket."""
    return as_json(view.bucket_object(ctx.world, ctx.host, find(ctx), with_map(ctx)))


@route("GET", "/pools/default/b/{bucket}")
def terse(ctx: Context) -> Reply:
    """The terse form."""
    bucket = find(ctx)
    answer: Dict[str, Any] = {"rev": ctx.cluster.rev, "name": bucket.name, "uuid": bucket.uuid,
                              "nodesExt": view.nodes_ext(ctx.cluster, ctx.host)}
    if bucket.kind != "memcached":
        answer["vBucketServerMap"] = view.server_map(ctx.cluster, bucket)
    return as_json(answer)


def compact(ctx: Context, kind: str, cancel: str) -> Reply:
    """Begins a compaction; it shows in the task list."""
    ctx.form()
    bucket = find(ctx)
    takes = ctx.world.timing.compaction
    jobs = [c for c in ctx.cluster.compactions
            if (c["bucket"], c["type"]) == (bucket.name, kind)]
    if not jobs:
        ctx.cluster.compactions.append({
            "type": kind, "bucket": bucket.name, "takes": takes,
            "until": ctx.world.clock.now + takes,
            "cancel": f"{BASE}/{ctx.args['bucket']}/controller/{cancel}"})
    return empty()


@route("POST", ONE + "/controller/compactBucket", BUCKETS)
def compact_bucket(ctx: Context) -> Reply:
    """Data and views."""
    return compact(ctx, "bucket_compaction", "cancelBucketCompaction")


@route("POST", ONE + "/controller/compactDatabases", BUCKETS)
def compact_databases(ctx: Context) -> Reply:
    """Data only."""
    return compact(ctx, "bucket_compaction", "cancelDatabasesCompaction")


@route("POST", ONE + "/controller/unsafePurgeBucket", "cluster.buckets!delete")
def purge(ctx: Context) -> Reply:
    """Compacts and purges tombstones; needs the permission to delete."""
    return compact(ctx, "bucket_compaction", "cancelBucketCompaction")


@route("POST", ONE + "/ddocs/{ddoc}/controller/compactView", BUCKETS)
def compact_view(ctx: Context) -> Reply:
    """One design document."""
    if not ctx.args["ddoc"].startswith("_design/"):
        raise Refused(not_found())
    return compact(ctx, "view_compaction", "cancelViewCompaction")


@route("POST", ONE + "/controller/cancelBucketCompaction", BUCKETS)
@route("POST", ONE + "/controller/cancelDatabasesCompaction", BUCKETS)
def cancel_compaction(ctx: Context) -> Reply:
    """200 even if nothing runs."""
    ctx.form()
    name = find(ctx).name
    ctx.cluster.compactions = [c for c in ctx.cluster.compactions if c["bucket"] != name]
    return empty()


@route("POST", ONE + "/controller/doFlush", BUCKETS)
def flush(ctx: Context) -> Reply:
    """Empties the bucket, if it may."""
    ctx.form()
    bucket = find(ctx)
    if not bucket.flush:
        raise Refused(as_json({"_": "Flush is disabled for the bucket"}, 400))
    if any(t["type"] == "xdcr" for t in ctx.cluster.extra_tasks):
        raise Refused(as_json({"_": "Cannot flush buckets with outgoing XDCR"}, 503))
    silent = ctx.cluster.unreachable(ctx.host, bucket.servers)
    if silent or ctx.cluster.op is not None:
        raise Refused(as_json({"_": "Flush failed or timed out"}, 504))
    bucket.items, bucket.mem_used, bucket.disk_used = 0, 0, 0
    return empty()


@route("DELETE", ONE, "cluster.buckets!delete")
async def delete(ctx: Context) -> Reply:
    """Answers when the bucket is gone, or that it will be."""
    bucket: Optional[Bucket] = ctx.cluster.buckets.get(ctx.args["bucket"])
    if bucket is None or bucket.gone_at is not None:
        return text(404, "The bucket to be deleted was not found.")
    if ctx.cluster.op is not None:
        return as_json({"_": "Cannot delete bucket during rebalance"}, 503)
    ctx.need_leader()
    takes = ctx.world.timing.bucket_delete
    bucket.gone_at = ctx.world.clock.now + takes
    if takes > 30:
        return as_json({"_": "Bucket deletion not yet complete, but will continue."}, 500)
    cluster, name = ctx.cluster, bucket.name
    cluster.deletions_due()
    await ctx.until(lambda: cluster.buckets.get(name) is not bucket)
    return empty()


@route("POST", "/controller/setAutoCompaction", SETTINGS, validates=True)
def auto_compaction(ctx: Context) -> Reply:
    """Global thresholds."""
    percent = "databaseFragmentationThreshold[percentage]"
    views = "viewFragmentationThreshold[percentage]"
    form = ctx.form("parallelDBAndViewCompaction", percent, views,
                    "databaseFragmentationThreshold[size]", "viewFragmentationThreshold[size]",
                    "purgeInterval", "magmaFragmentationPercentage")
    wrong = {}
    if form.one("parallelDBAndViewCompaction") not in ("true", "false"):
        wrong["parallelDBAndViewCompaction"] = "parallelDBAndViewCompaction is missing"
    for key in (percent, views):
        value = form.one(key)
        if value is not None and not (value.isdigit() and 2 <= int(value) <= 100):
            wrong[key] = "The value must be in range from 2 to 100 (inclusive)"
    if wrong:
        raise Refused(errors(wrong))
    if ctx.validate_only:
        return errors({}, 200)
    stored = ctx.cluster.settings["autoCompaction"]
    stored["parallelDBAndViewCompaction"] = form.one("parallelDBAndViewCompaction") == "true"
    for key, name in ((percent, "databaseFragmentationThreshold"),
                      (views, "viewFragmentationThreshold")):
        if key in form:
            stored[name]["percentage"] = int(form.one(key) or "0")
    return empty()
