#!/usr/bin/env python3
"""agent/openapi.json and the server tell the same: paths, methods, and the form of every answer."""
import json
import os
import re
import signal

import kvtest
import tap
from agentlab import SECRET, definition, finish, form, request_bytes, wire
from kvtest import STORE

lab = kvtest.Lab(dirs=(1,))
node = lab.nodes[0]
with open(os.path.join(tap.source_dir(), "agent", "openapi.json"), encoding="utf-8") as source:
    DOC = json.load(source)
METHODS = ("get", "put", "post", "delete", "patch")
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def resolve(schema):
    while "$ref" in schema:
        target = DOC
        for part in schema["$ref"].split("/")[1:]:
            target = target[part]
        schema = target
    return schema


def has_type(value, name):
    if name in ("integer", "number"):
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def faults(value, schema, where="$"):
    """What is wrong with the value: the part of JSON Schema that the document uses."""
    schema, found = resolve(schema), []
    known = {"type", "description", "properties", "required", "additionalProperties", "items", "enum", "const", "pattern",
             "minimum", "maximum", "minItems", "maxItems", "oneOf", "default"}
    found += ["%s: the test does not know %s" % (where, k) for k in set(schema) - known]
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(has_type(value, t) for t in types):
        return found + ["%s: %r is not %s" % (where, value, types)]
    if "enum" in schema and value not in schema["enum"]:
        found.append("%s: %r is not one of %s" % (where, value, schema["enum"]))
    if "const" in schema and value != schema["const"]:
        found.append("%s: %r is not %r" % (where, value, schema["const"]))
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        found.append("%s: %r does not match" % (where, value))
    if has_type(value, "integer") and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        found.append("%s: %r out of range" % (where, value))
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        found += ["%s: %s is missing" % (where, k) for k in schema.get("required", []) if k not in value]
        if schema.get("additionalProperties") is False:
            found += ["%s: %s is not in the document" % (where, k) for k in value if k not in properties]
        for k, v in value.items():
            found += faults(v, properties.get(k, {}), where + "." + k)
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            found.append("%s: %d items" % (where, len(value)))
        for i, item in enumerate(value):
            found += faults(item, schema.get("items", {}), "%s[%d]" % (where, i))
    if "oneOf" in schema:
        results = [faults(value, s, where) for s in schema["oneOf"]]
        if sum(not r for r in results) != 1:
            found.append("%s: fits %d of its forms: %s" % (where, sum(not r for r in results), results))
    return found


used = set()


def call(method, path, body=None, status=200, template=None):
    """One request; the answer must have the form that the document gives for its status."""
    template = template or path.partition("?")[0]
    operation = DOC["paths"][template][method.lower()]
    used.add((method.lower(), template))
    if body is not None and status < 400:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        for fault in faults(body, schema):
            tap.fail("request %s %s: %s" % (method, path, fault))
    got, answer = node.rest(method, path, body)
    tap.equal(got, status, "status of %s %s (%s)" % (method, path, answer))
    tap.ok(str(got) in operation["responses"] or got >= 400, "status %d of %s %s in the document" % (got, method, path))
    response = resolve(operation["responses"].get(str(got), operation["responses"]["default"]))
    for fault in faults(answer, list(response["content"].values())[0]["schema"]):
        tap.fail("%s %s: %s" % (method, path, fault))
    return answer


def document():
    """The document is OpenAPI 3.1, its references lead somewhere, each schema is used"""
    tap.equal(DOC["openapi"], "3.1.0", "version")
    text = json.dumps(DOC)
    for ref in set(re.findall(r'"\$ref": "([^"]+)"', text)):
        resolve({"$ref": ref})
    for name in DOC["components"]["schemas"]:
        tap.contains(text, '"#/components/schemas/%s"' % name, "the document")
    ids = re.findall(r'"operationId": "([^"]+)"', text)
    tap.equal(len(ids), len(set(ids)), "operation ids")


def methods():
    """Each path takes the methods of the document and no others"""
    lab.start()
    for template, item in DOC["paths"].items():
        path = template.replace("{id}", "rg9-rn9").replace("{n}", "1")
        for method in METHODS:
            raw = wire(node, request_bytes(node, method.upper(), path, b"{}" if method in ("put", "post") else b""))
            tap.equal(b" 405 " in raw.partition(b"\r\n")[0], method not in item, "%s %s is refused" % (method, path))


def nodes():
    """Answers about the node"""
    call("GET", "/live")
    call("GET", "/ready")
    call("GET", "/v1/node")
    call("PUT", "/v1/node", {"store": STORE, "id": "sn1", "zone": "zn1", "secret": SECRET})
    call("PUT", "/v1/node", {"store": "x", "id": "sn1", "zone": "zn1"}, 409)
    call("GET", "/v1/events?after=0&limit=10&wait=0")
    call("PUT", "/v1/services/admin1", {"kind": "admin"}, 201, "/v1/services/{id}")
    call("PUT", "/v1/metadata", {"version": 1, "docs": {}})
    call("GET", "/v1/metadata")
    lease = {"owner": "a@b#1", "plan": 1, "epoch": 1}
    call("PUT", "/v1/lease", dict(lease, ttlMs=60000))
    call("GET", "/v1/node")
    call("PUT", "/v1/lease", dict(lease, owner="c", ttlMs=1000, takeover=True, reason="test"))
    call("DELETE", "/v1/lease", dict(lease, owner="c"))
    raw = wire(node, request_bytes(node, "GET", "/metrics"))
    tap.contains(raw, b"application/openmetrics-text", "type of metrics")
    used.add(("get", "/metrics"))


def services():
    """Answers about services"""
    def order(what, body, status=200):
        return call("POST", "/v1/services/rg1-rn1/" + what, body, status, "/v1/services/{id}/" + what)
    call("PUT", "/v1/services/rg1-rn1", definition(node, params={"appendfsync": "no"}), 201, "/v1/services/{id}")
    call("GET", "/v1/node")
    number = order("start", {"allowEmpty": False}, 202)["operation"]
    call("GET", "/v1/operations/%d?wait=20" % number, template="/v1/operations/{n}")
    form(node)
    order("start", {})
    me = call("GET", "/v1/node")["services"][1]["redis"]["nodeId"]
    order("set-epoch", {"epoch": 1})
    order("add-slots", {"ranges": [[0, 5]]})
    order("meet", {"host": kvtest.HOST, "port": node.port + 2, "busPort": node.port + 3})
    order("replicate", {"nodeId": me}, 502)
    order("forget", {"nodeId": "a" * 40})
    order("failover", {"mode": "graceful"})
    for body in ({"op": "put", "key": "a", "value": "b"}, {"op": "get", "key": "a"}, {"op": "scan"}, {"op": "delete", "key": "a"}):
        order("data", body)
    order("set-slot", {"slot": 1, "state": "migrating", "nodeId": "a" * 40}, 502)
    order("set-slot", {"slot": 1, "state": "stable"})
    order("count-keys", {"slots": [1, 2]})
    order("move-keys", {"slot": 1, "host": kvtest.HOST, "port": node.port + 2})
    order("move-keys", {"slot": 1, "host": kvtest.HOST, "port": node.port + 2, "drop": True})
    number = order("check-data", {}, 202)["operation"]
    call("GET", "/v1/operations/%d?wait=20" % number, template="/v1/operations/{n}")
    order("stop", {"x": 1}, 422)
    number = order("stop", {}, 202)["operation"]
    call("GET", "/v1/operations/%d?wait=20" % number, template="/v1/operations/{n}")
    order("wipe", {"keeper": me}, 409)
    number = order("wipe", {"keeper": "a" * 40, "identity": True}, 202)["operation"]
    call("GET", "/v1/operations/%d?wait=20" % number, template="/v1/operations/{n}")
    number = order("wipe", {"keeper": "a" * 40}, 202)["operation"]
    call("GET", "/v1/operations/%d?wait=20" % number, template="/v1/operations/{n}")
    call("GET", "/v1/operations/5", None, 404, "/v1/operations/{n}")
    call("GET", "/v1/events")
    call("DELETE", "/v1/services/rg1-rn1", template="/v1/services/{id}")
    call("GET", "/v1/node")
    call("POST", "/v1/node/remove-data", {"storageDir": node.dirs[0], "service": "rg1-rn1"})
    call("DELETE", "/v1/services/admin1", template="/v1/services/{id}")
    call("DELETE", "/v1/node")


def units():
    """Answers about units"""
    program = lab.file("unit", "#!/bin/sh\ncd %s\ncase $1 in start) : > up;; stop) rm -f up;; status) [ -e up ] || exit 3;; esac\n"
                       % node.folder, 0o755)
    node.kill(signal.SIGTERM)
    path = os.path.join(node.root, "config1.json")
    with open(path, encoding="utf-8") as source:
        config = json.load(source)
    config["units"] = [dict({a: {"argv": [program, a]} for a in ("start", "stop", "status")}, id="couchbase"),
                       dict({a: {"argv": ["/nonexistent"]} for a in ("start", "stop", "status")}, id="broken")]
    lab.file(path, json.dumps(config), 0o600)
    node.start()
    call("GET", "/v1/node")
    for action in ("start", "stop"):
        number = call("POST", "/v1/services/couchbase/" + action, {}, 202, "/v1/services/{id}/" + action)["operation"]
        operation = call("GET", "/v1/operations/%d?wait=20" % number, template="/v1/operations/{n}")
        tap.equal(operation["state"], "succeeded", action)
        tap.equal(call("GET", "/v1/node")["services"][0]["state"], "running" if action == "start" else "stopped", "state")
        if tap.SLOWER > 10:  # a look that takes too long begins an operation, as if it were not so
            again = node.rest("POST", "/v1/services/couchbase/" + action, {})[1]
            call("GET", "/v1/operations/%d?wait=20" % again.get("operation", number), template="/v1/operations/{n}")
        else:
            call("POST", "/v1/services/couchbase/" + action, {}, 200, "/v1/services/{id}/" + action)
    number = call("POST", "/v1/services/broken/start", {}, 202, "/v1/services/{id}/start")["operation"]
    call("GET", "/v1/operations/%d?wait=20" % number, template="/v1/operations/{n}")
    call("GET", "/v1/events")


def everything_was_tried():
    """No operation of the document was left out"""
    there = {(m, p) for p, item in DOC["paths"].items() for m in METHODS if m in item}
    tap.equal(sorted(there - used), [], "operations that were not tried")


if __name__ == "__main__":
    tap.main([document, methods, nodes, services, units, everything_was_tried], finish(lab))
