"""Settings: auto-failover, auto-reprovision, alerts, client certificates."""
from __future__ import annotations

import re
from typing import Any, Dict, List, Optional, Tuple

from .forms import Checker, Form, read_json
from .profile import Profile
from .router import SETTINGS, Context, route
from .wire import Refused, Reply, as_json, empty, errors, text

DISK = "failoverOnDataDiskIssues"
SILENT_DISK = "failoverOnDataDiskNonResponsiveness"
ALERTS = (
    "auto_failover_node auto_failover_maximum_reached auto_failover_other_nodes_down "
    "auto_failover_cluster_too_small auto_failover_disabled ip disk overhead ep_oom_errors "
    "ep_item_commit_failed audit_dropped_events indexer_ram_max_usage "
    "indexer_low_resident_percentage ep_clock_cas_drift_threshold_exceeded communication_issue "
    "time_out_of_sync disk_usage_analyzer_stuck cert_expires_soon cert_expired memory_threshold "
    "history_size_warning stuck_rebalance memcached_connections disk_guardrail "
    "indexer_diverging_replicas").split()
CERT_STATES = ("disable", "enable", "hybrid", "mandatory")
CERT_PATHS = ("subject.cn", "san.uri", "san.dnsname", "san.email")


def defaults(profile: Profile) -> Dict[str, Any]:
    """All settings of a new cluster."""
    return {
        "autoFailover": {
            "enabled": True, "timeout": 120, "count": 0, "maxCount": 1, "disableMaxCount": False,
            "canAbortRebalance": profile.enterprise, "failoverPreserveDurabilityMajority": False,
            "allowFailoverEphemeralNoReplicas": False,
            DISK: {"enabled": False, "timePeriod": 120},
            SILENT_DISK: {"enabled": False, "timePeriod": 120}},
        "autoReprovision": {"enabled": True, "max_nodes": 1, "count": 0},
        "retryRebalance": {"enabled": False, "afterTimePeriod": 300, "maxAttempts": 1},
        "rebalance": {"rebalanceMovesPerNode": 4},
        "alerts": alert_defaults(),
        "alertLimits": {"maxDiskUsedPerc": 90, "maxIndexerRamPerc": 75, "maxOverheadPerc": 50},
        "autoCompaction": {
            "parallelDBAndViewCompaction": False, "magmaFragmentationPercentage": 50,
            "databaseFragmentationThreshold": {"percentage": 30, "size": "undefined"},
            "viewFragmentationThreshold": {"percentage": 30, "size": "undefined"}}}


def alert_defaults() -> Dict[str, Any]:
    """What POST /settings/alerts falls back to."""
    return {"recipients": ["root@localhost"], "sender": "couchbase@localhost", "enabled": False,
            "emailServer": {"user": "", "pass": "", "host": "localhost", "port": 25,
                            "encrypt": False},
            "alerts": list(ALERTS), "pop_up_alerts": list(ALERTS)}


def auto_keys(profile: Profile) -> List[str]:
    """Top-level keys of auto-failover that a version and edition has."""
    keys = ["enabled", "timeout"]
    if not profile.enterprise:
        return keys
    keys += ["maxCount", "canAbortRebalance", "failoverPreserveDurabilityMajority"]
    if profile.since76:
        keys.append("disableMaxCount")
    if profile.since80:
        keys.append("allowFailoverEphemeralNoReplicas")
    return keys


def disk_keys(profile: Profile) -> List[str]:
    """The two-part settings about disks."""
    if not profile.enterprise:
        return []
    return [DISK, SILENT_DISK] if profile.since80 else [DISK]


@route("GET", "/settings/autoFailover")
def auto_failover(ctx: Context) -> Reply:
    """Settings and counter."""
    stored, profile = ctx.cluster.settings["autoFailover"], ctx.profile
    answer = {"enabled": stored["enabled"], "timeout": stored["timeout"],
              "count": stored["count"]}
    for key in disk_keys(profile) + auto_keys(profile):
        answer[key] = stored[key]
    if answer.get("disableMaxCount"):
        del answer["maxCount"]
    return as_json(answer)


class AutoChecker:
    """The validation of 7.6 and 8.0."""

    def __init__(self, form: Form, profile: Profile) -> None:
        self.profile = profile
        nested = [f"{key}[{part}]" for key in disk_keys(profile)
                  for part in ("enabled", "timePeriod")]
        self.check = Checker(form, auto_keys(profile) + nested)
        self.form = form

    def values(self, old: Dict[str, Any]) -> Dict[str, Any]:
        """The new settings, or a refusal."""
        check = self.check
        check.require("enabled")
        new = {**old, "enabled": check.boolean("enabled", old["enabled"])}
        new["timeout"] = check.integer("timeout", self.profile.timeout_min, 3600, old["timeout"])
        for key in auto_keys(self.profile):
            if key == "maxCount":
                new[key] = check.integer(key, 1, 100, old[key])
            elif key not in ("enabled", "timeout"):
                new[key] = check.boolean(key, old[key])
        for key in disk_keys(self.profile):
            new[key] = self.disk(key, old[key])
        self.together(new)
        check.done()
        if not new["enabled"]:
            return switched_off(old)
        return new

    def disk(self, key: str, old: Dict[str, Any]) -> Dict[str, Any]:
        """One disk option; on needs its period. A period without "on" is refused in the words
        the facts have for the timeout; they say nothing about this pair."""
        check, on, period = self.check, f"{key}[enabled]", f"{key}[timePeriod]"
        value = {"enabled": check.boolean(on, old["enabled"]),
                 "timePeriod": check.integer(period, 5, 3600, old["timePeriod"])}
        if self.form.one(on) == "true" and period not in self.form:
            check.fail("_", f"{on} is true. A value must be supplied for {period}")
        if period in self.form and self.form.one(on) != "true":
            check.fail("_", f"{on} must be true for {period} to take effect")
        return value

    def together(self, new: Dict[str, Any]) -> None:
        """What depends on other keys. The facts say both that enabled=false makes the rest
        ignored and that a timeout beside it is an error: the stricter reading holds."""
        form, check = self.form, self.check
        enabled = form.one("enabled")
        if enabled == "true" and "timeout" not in form:
            check.fail("_", "enabled is true. A value must be supplied for timeout")
        if enabled == "false" and "timeout" in form:
            check.fail("_", "enabled must be true for timeout to take effect")
        if "maxCount" in form and new.get("disableMaxCount"):
            check.fail("_", "disableMaxCount is true. Set it to false for maxCount to take effect.")


def switched_off(old: Dict[str, Any]) -> Dict[str, Any]:
    """enabled=false: the rest is ignored, both disk options go off."""
    return {**old, "enabled": False, DISK: {**old[DISK], "enabled": False},
            SILENT_DISK: {**old[SILENT_DISK], "enabled": False}}


class OldAutoChecker:
    """The validation of 7.2: text lines."""

    def __init__(self, form: Form, profile: Profile) -> None:
        self.form = form
        self.profile = profile
        self.lines: List[str] = []

    def boolean(self, name: str, default: Optional[bool]) -> Optional[bool]:
        """true or false."""
        value = self.form.one(name)
        if value in ("true", "false"):
            return value == "true"
        if value is not None or default is None:
            self.lines.append(f'The value of "{name}" must be true or false')
        return default

    def integer(self, name: str, low: int, high: int, default: Optional[int]) -> Optional[int]:
        """A number in a range."""
        value = self.form.one(name)
        if value is not None and re.match(r"[0-9]+\Z", value) and low <= int(value) <= high:
            return int(value)
        if value is not None or default is None:
            self.lines.append(f'The value of "{name}" must be a positive integer in a range '
                              f"from {low} to {high}")
        return default

    def values(self, old: Dict[str, Any]) -> Dict[str, Any]:
        """The new settings, or a refusal."""
        enabled = self.boolean("enabled", None)
        new = {**old, "enabled": enabled}
        known = auto_keys(self.profile) + [
            f"{k}[{p}]" for k in disk_keys(self.profile) for p in ("enabled", "timePeriod")]
        # The facts do not say what 7.2 does with keys it does not know: they are refused.
        self.lines += [f'Unknown or repeated parameter "{n}"' for n in self.form.problems(known)]
        if enabled:
            new["timeout"] = self.integer("timeout", self.profile.timeout_min, 3600, None)
            for key in auto_keys(self.profile):
                if key == "maxCount":
                    new[key] = self.integer(key, 1, 100, old[key])
                elif key not in ("enabled", "timeout"):
                    new[key] = self.boolean(key, old[key])
            for key in disk_keys(self.profile):
                on = self.boolean(f"{key}[enabled]", old[key]["enabled"])
                given = self.form.one(f"{key}[enabled]") == "true"
                period = self.integer(f"{key}[timePeriod]", 5, 3600,
                                      None if given else old[key]["timePeriod"])
                new[key] = {"enabled": on, "timePeriod": period}
        if self.lines:
            raise Refused(text(400, "\n".join(self.lines)))
        return new if enabled else switched_off(old)


@route("POST", "/settings/autoFailover", SETTINGS, validates=True)
def set_auto_failover(ctx: Context) -> Reply:
    """enabled is a must, timeout too when it is true."""
    ctx.need_leader()
    settings, form = ctx.cluster.settings, ctx.raw_form()
    if ctx.profile.since76:
        new = AutoChecker(form, ctx.profile).values(settings["autoFailover"])
    else:
        new = OldAutoChecker(form, ctx.profile).values(settings["autoFailover"])
    if ctx.validate_only:
        return errors({}, 200)
    settings["autoFailover"] = new
    ctx.cluster.touched()
    return empty()


@route("POST", "/settings/autoFailover/resetCount", SETTINGS, body=False)
def reset_count(ctx: Context) -> Reply:
    """No form."""
    ctx.need_leader()
    ctx.cluster.settings["autoFailover"]["count"] = 0
    return empty()


@route("GET", "/settings/autoReprovision")
def auto_reprovision(ctx: Context) -> Reply:
    """For ephemeral buckets."""
    return as_json(ctx.cluster.settings["autoReprovision"])


@route("POST", "/settings/autoReprovision", SETTINGS)
def set_auto_reprovision(ctx: Context) -> Reply:
    """Two keys, refusals in text."""
    form = ctx.form("enabled", "maxNodes")
    enabled, nodes = form.one("enabled"), form.one("maxNodes")
    lines = []
    if enabled not in ("true", "false"):
        lines.append('The value of "enabled" must be true or false')
    if enabled == "true" and not re.match(r"[1-9][0-9]*\Z", nodes or ""):
        lines.append('The value of "maxNodes" must be a positive integer')
    if lines:
        raise Refused(text(400, "\n".join(lines)))
    ctx.need_leader()
    stored = ctx.cluster.settings["autoReprovision"]
    stored["enabled"] = enabled == "true"
    if enabled == "true":
        stored["max_nodes"] = int(nodes or "1")
    return empty()


@route("POST", "/settings/autoReprovision/resetCount", SETTINGS, body=False)
def reset_reprovision(ctx: Context) -> Reply:
    """No form."""
    ctx.cluster.settings["autoReprovision"]["count"] = 0
    return empty()


# --- alerts --------------------------------------------------------------------------------------

ALERT_KEYS = ("enabled", "sender", "recipients", "emailHost", "emailPort", "emailEncrypt",
              "emailUser", "emailPass", "alerts", "pop_up_alerts")


@route("GET", "/settings/alerts")
def alerts(ctx: Context) -> Reply:
    """The password is never shown."""
    stored = ctx.cluster.settings["alerts"]
    return as_json({**stored, "emailServer": {**stored["emailServer"], "pass": ""}})


def alert_values(form: Form, extra: Tuple[str, ...] = ()) -> Dict[str, Any]:
    """Everything is replaced; what is missing falls back to its default."""
    check, new = Checker(form, ALERT_KEYS + extra), alert_defaults()
    check.require("enabled")
    new["enabled"] = check.boolean("enabled", False)
    server = new["emailServer"]
    server["port"] = check.integer("emailPort", 1, 65535, 25)
    server["encrypt"] = check.boolean("emailEncrypt", False)
    for key, name in (("user", "emailUser"), ("pass", "emailPass"), ("host", "emailHost")):
        server[key] = form.one(name) or server[key]
    new["sender"] = form.one("sender") or new["sender"]
    if "recipients" in form:
        new["recipients"] = form.listed("recipients")
    for name in ("alerts", "pop_up_alerts"):
        if name in form:
            new[name] = form.listed(name)
            strange = [key for key in new[name] if key not in ALERTS]
            if strange:
                check.fail(name, f"{name} contained invalid keys. Valid keys are "
                                 f"{','.join(ALERTS)}")
    check.done()
    return new


@route("POST", "/settings/alerts", SETTINGS, validates=True)
def set_alerts(ctx: Context) -> Reply:
    """Mail and pop-up alerts."""
    ctx.need_leader()
    new = alert_values(ctx.raw_form())
    if ctx.validate_only:
        return errors({}, 200)
    ctx.cluster.settings["alerts"] = new
    return empty()


@route("POST", "/settings/alerts/testEmail", SETTINGS)
def test_email(ctx: Context) -> Reply:
    """No mail leaves a simulation."""
    alert_values(ctx.raw_form(), ("subject", "body"))
    return empty()


@route("GET", "/settings/alerts/limits")
def alert_limits(ctx: Context) -> Reply:
    """Thresholds."""
    return as_json(ctx.cluster.settings["alertLimits"])


@route("POST", "/settings/alerts/limits", SETTINGS, validates=True)
def set_alert_limits(ctx: Context) -> Reply:
    """Percentages."""
    stored = ctx.cluster.settings["alertLimits"]
    check = Checker(ctx.raw_form(), stored)
    new = {key: check.integer(key, 0, 100, value) for key, value in stored.items()}
    check.done()
    if ctx.validate_only:
        return errors({}, 200)
    ctx.cluster.settings["alertLimits"] = new
    return empty()


# --- client certificates -------------------------------------------------------------------------


@route("GET", "/settings/clientCertAuth")
def client_cert(ctx: Context) -> Reply:
    """State and the rules that give the user name."""
    return as_json(ctx.world.client_cert)


def cert_problem(document: Any) -> Optional[str]:
    """What is wrong with a new client certificate setting."""
    if not isinstance(document, dict) or set(document) - {"state", "prefixes"}:
        return "Unsupported key"
    if document.get("state") not in CERT_STATES:
        return "state must be one of disable, enable, hybrid, mandatory"
    rules = document.get("prefixes", [])
    for rule in rules if isinstance(rules, list) else [None]:
        if not isinstance(rule, dict) or set(rule) != {"path", "prefix", "delimiter"}:
            return "prefixes: path, prefix and delimiter are needed"
        if rule["path"] not in CERT_PATHS:
            return f"prefixes: unknown path {rule['path']}"
    if document["state"] != "disable" and not rules:
        return "prefixes must not be empty"
    return None


@route("POST", "/settings/clientCertAuth", "cluster.admin!write")
def set_client_cert(ctx: Context) -> Reply:
    """JSON; holds for new connections. The facts give no status: the least expected one."""
    document = read_json(ctx.request)
    problem = cert_problem(document)
    if problem:
        raise Refused(errors({"_": problem}))
    ctx.world.set_client_cert(document)
    return Reply(202)
