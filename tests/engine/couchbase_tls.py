#!/usr/bin/env python3
"""How kvsh and a Couchbase cluster know each other: certificates, passwords, tokens; where secrets do not go."""
import os
import re
import subprocess
import tempfile

import cblab
import tap
from cblab import Lab
from simtest import Sim

MAKE_CERTS = os.path.join(tap.build_dir(), "tests", "system", "make_certs")
TOKEN = "eyJhbGciOiJub25lIn0.a-long-bearer-token"
CLIENT = {"prefixes": [{"path": "subject.cn", "prefix": "test ", "delimiter": ""}]}
CLIENTS = cblab.USERS + [{"name": "client", "password": "none-that-anybody-knows", "role": "admin"}]
certs = tempfile.TemporaryDirectory(prefix="kvsh-certs.")


def cert(name, kind="crt"):
    return os.path.join(certs.name, "%s.%s" % (name, kind))


def secured(server="server", **more):
    """A cluster that speaks TLS with this certificate."""
    return dict({"nodes": 3, "tls": {"cert": cert(server), "key": cert(server, "key"), "ca": cert("ca")}}, **more)


def add_store(lab, *options, nodes=("n1", "n2", "n3"), scheme="https"):
    """store add -name prod, with these options."""
    where = lab.sim.tls if scheme == "https" else lab.host
    lab.kv("store add -name prod -engine couchbase -timeout 20 %s %s" % (
        " ".join("-node %s://%s" % (scheme, where[n]) for n in nodes), " ".join(options)))


def password(lab):
    return "-user Administrator -password-file %s/pw" % lab.folder


def edit(lab, line):
    """One more line in the section of the store."""
    path = os.path.join(lab.folder, "config", "kvsh", "kvsh.conf")
    with open(path) as f:
        text = f.read()
    with open(path, "w") as f:
        f.write(text.rstrip("\n") + "\n" + line + "\n")


def seen(lab):
    """How kvsh came: (over TLS, by what) of each request."""
    return {(r["tls"], r["credentials"]) for r in lab.control("log")["requests"]}


def trusted():
    """With the cluster's CA everything goes over TLS, plans included."""
    with Lab(secured(spares=1), store=False) as lab:
        add_store(lab, password(lab), "-ca-file", cert("ca"))
        tap.equal(lab.kv("ping -quiet").stderr, "", "what ping says")
        lab.kv("plan failover -service {n2} -wait")
        told = lab.kv("show plan -last -explain").stdout
        tap.contains(told, "-c https://" + lab.sim.tls["n1"], "couchbase-cli's words")
        tap.contains(told, "'https://%s/controller/" % lab.sim.tls["n1"], "curl's words")
        lab.kv("plan recover -service {n2} -rebalance -wait")
        lab.kv("plan add-node -host 127.0.0.1 -port %s -rebalance -wait"
               % lab.sim.tls[lab.sim.start["spares"][0]["name"]].rpartition(":")[2])
        lab.kv("change-policy -params autoFailover.timeout=60")
        tap.equal(seen(lab), {(True, "basic")}, "how kvsh came")


def not_trusted():
    """A certificate of another authority, one that expired, one for another host: refused, nothing is sent."""
    for server, ca, says in (("server", "stranger", "certificate"), ("expired", "ca", "expired"),
                             ("elsewhere", "ca", "name"), ("server", None, "certificate")):
        with Lab(secured(server), store=False) as lab:
            add_store(lab, password(lab), *(["-ca-file", cert(ca)] if ca else []))
            done = lab.kv("ping", 77)
            what = "%s with %s" % (server, ca)
            tap.ok(re.search(says, done.stderr), "%s: %s" % (what, done.stderr))
            tap.contains(done.stderr, "TLS with " + lab.sim.tls["n1"], what)
            tap.contains(done.stderr, "check ca-file of the store", what + ": what to do next")
            lab.kv("plan failover -service {n2} -wait", 77)
            tap.equal(lab.control("log")["requests"], [], what + ": requests")
            edit(lab, "tls-verify = no")
            done = lab.kv("show topology")
            tap.contains(done.stderr, "the certificates of store prod are not checked", what + ", not checked")
            tap.contains(done.stdout, lab.host["n3"], what + ", not checked")


def missing_ca_file():
    """A CA file that is not there, or holds no certificate, is named."""
    with Lab(secured(), store=False) as lab:
        path = os.path.join(lab.folder, "ca.pem")
        add_store(lab, password(lab), "-ca-file", path)
        for content in (None, "this is no certificate\n"):
            if content:
                with open(path, "w") as f:
                    f.write(content)
            done = lab.kv("ping", None)
            tap.ok(done.returncode in (65, 77), "status %d" % done.returncode)
            tap.contains(done.stderr, "ca.pem", "the error")
            tap.equal(lab.control("log")["requests"], [], "requests")


def bad_certificate_first():
    """A first node with an expired certificate is passed over for one that is in order."""
    with Lab(secured(), store=False) as lab, Sim(secured("expired")) as old:
        lab.kv("store add -name prod -engine couchbase -node https://%s -node https://%s %s -ca-file %s" % (
            old.tls["n1"], lab.sim.tls["n1"], password(lab), cert("ca")))
        tap.contains(lab.kv("show topology").stdout, lab.host["n2"], "what the second address tells")
        tap.equal(old.control("log")["requests"], [], "requests to the first")


def client_certificate():
    """A client certificate logs in, alone where the cluster makes it mandatory; no password is sent."""
    for state in ("enable", "mandatory"):
        with Lab(secured(clientCert=dict(CLIENT, state=state), users=CLIENTS, spares=1), store=False) as lab:
            add_store(lab, "-ca-file", cert("ca"), "-cert-file", cert("client"), "-key-file", cert("client", "key"))
            tap.equal(lab.kv("ping -quiet").stderr, "", state + ": what ping says")
            lab.kv("plan failover -service {n2} -wait")
            lab.kv("plan add-node -host 127.0.0.1 -port %s -wait"
                   % lab.sim.tls[lab.sim.start["spares"][0]["name"]].rpartition(":")[2])
            tap.equal(seen(lab), {(True, "certificate")}, state + ": how kvsh came")
            joins = [r["body"] for r in lab.requests() if "addNode" in r["path"]]
            tap.ok(joins and all("clientCertAuth=true" in b and "password" not in b for b in joins),
                   "%s: %s" % (state, joins))


def client_certificate_missing():
    """Where certificates are mandatory, a password alone is refused with a sentence, and so is a stranger's."""
    with Lab(secured(clientCert=dict(CLIENT, state="mandatory"), users=CLIENTS), store=False) as lab:
        add_store(lab, password(lab), "-ca-file", cert("ca"))
        done = lab.kv("ping", 77)
        tap.contains(done.stderr, "does not accept our certificate", "without a certificate")
        tap.contains(done.stderr, "check cert-file and key-file of the store", "what to do next")
        lab.kv("store remove -name prod")
        add_store(lab, "-ca-file", cert("ca"), "-cert-file", cert("stranger"), "-key-file", cert("stranger", "key"))
        tap.contains(lab.kv("ping", 77).stderr, "does not accept our certificate", "with a stranger's")
        tap.equal(lab.control("log")["requests"], [], "requests")


def client_certificate_unknown():
    """A certificate that stands for nobody is refused; a key that does not fit is named."""
    with Lab(secured(clientCert=dict(CLIENT, state="enable")), store=False) as lab:
        add_store(lab, "-ca-file", cert("ca"), "-cert-file", cert("client"), "-key-file", cert("client", "key"))
        done = lab.kv("ping", 77)
        tap.contains(done.stderr, "credentials were not accepted", "nobody's certificate")
        tap.contains(done.stderr, "cert-file", "what to do next")
        lab.kv("store remove -name prod")
        add_store(lab, "-ca-file", cert("ca"), "-cert-file", cert("client"), "-key-file", cert("server", "key"))
        done = lab.kv("ping", 77)
        tap.contains(done.stderr, "cert-file and key-file", "a key of another certificate")


def bearer_token():
    """A bearer token logs in on 8.0; 7.2 and 7.6 do not know it, and neither does one that has it switched off."""
    for version, bearer, want in (("8.0", True, 0), ("7.6", True, 77), ("7.2", True, 77), ("8.0", False, 77)):
        with Lab(secured(version=version, bearer=bearer, tokens={TOKEN: "Administrator"}), store=False) as lab:
            path = os.path.join(lab.folder, "token")
            with open(path, "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
                f.write(TOKEN + "\n")
            add_store(lab, "-token-file", path, "-ca-file", cert("ca"))
            done = lab.kv("ping", want)
            if want:
                tap.contains(done.stderr, "token-file", version + ": what to do next")
                continue
            lab.kv("plan failover -service {n2} -wait")
            tap.equal(seen(lab), {(True, "bearer")}, "how kvsh came")


def in_clear_text():
    """A password over http to another machine is warned of, over https or on this machine it is not."""
    with Lab({"nodes": 3}) as lab:
        tap.equal(lab.kv("ping -quiet").stderr, "", "on this machine")
        lab.kv("store add -name far -engine couchbase -node http://cb1.invalid:8091 " + password(lab))
        done = lab.kv("-store far -timeout 1 ping", 69)
        tap.contains(done.stderr, "the password of store far goes to http://cb1.invalid:8091 in clear text", "the warning")
        lab.kv("store add -name safe -engine couchbase -node https://cb1.invalid:18091 " + password(lab))
        tap.lacks(lab.kv("-store safe -timeout 1 ping", 69).stderr, "clear text", "with https")


def files_that_are_open():
    """Files of secrets that others may read, or that are not there, are refused; nobody is asked."""
    with Lab({"nodes": 3}) as lab:
        path = os.path.join(lab.folder, "pw")
        for mode in (0o640, 0o604, 0o644):
            os.chmod(path, mode)
            lab.control("clear")
            done = lab.kv("ping", 77)
            tap.contains(done.stderr, path, "the error with mode %o" % mode)
            tap.lacks(done.stderr, cblab.PASSWORD, "the error with mode %o" % mode)
        os.chmod(path, 0o600)
        os.rename(path, path + ".away")
        tap.contains(lab.kv("ping", None).stderr, path, "the error without the file")
        tap.equal(lab.control("log")["requests"], [], "requests")


def redirects():
    """A redirect is not followed, no secret goes where it points, and a plan that meets one fails."""
    with Lab({"nodes": 3}, first=["n1"]) as lab, Sim({"nodes": 1}) as trap:
        where = "http://%s/pools" % trap.host["n1"]
        lab.control("fault", kind="redirect", path="/pools*", location=where, count=-1)
        done = lab.kv("show topology", 1)
        tap.contains(done.stderr, "redirects elsewhere, which is not followed", "the error")
        lab.control("faults", clear=True)
        lab.control("fault", kind="redirect", path="/controller/*", location=where, count=1)
        done = lab.kv("plan failover -service {n2} -wait", 1)
        tap.contains(done.stderr, "redirects elsewhere, which is not followed", "the plan's error")
        tap.equal(lab.membership("n2"), "active", "n2")
        tap.equal(trap.control("log")["requests"], [], "requests that followed it")


def what_a_user_may():
    """A read-only administrator sees everything and changes nothing; an expired password is said so."""
    users = cblab.USERS + [{"name": "reader", "password": cblab.PASSWORD, "role": "ro_admin"},
                           {"name": "nobody", "password": cblab.PASSWORD, "role": "none"},
                           {"name": "late", "password": cblab.PASSWORD, "role": "admin", "expired": True}]
    with Lab({"nodes": 4, "users": users}) as lab:
        for name in ("reader", "nobody", "late"):
            lab.kv("store add -name %s -engine couchbase -node http://{n1} -user %s -password-file %s/pw"
                   % (name, name, lab.folder))
        for line in ("ping -quiet", "show topology", "show buckets", "show groups", "show tasks", "show policy",
                     "show events", "verify configuration -quiet"):
            lab.kv("-store reader " + line)
        done = lab.kv("-store reader plan failover -service {n2} -wait", 77)
        tap.contains(done.stderr, "cluster.pools!write", "what is missing")
        tap.contains(done.stderr, "Full Admin or Cluster Admin", "what to do next")
        lab.kv("-store reader change-policy -params autoFailover.timeout=60", 77)
        tap.equal(lab.membership("n2"), "active", "n2")
        lab.kv("-store nobody show topology", 77)
        done = lab.kv("-store late show topology", 77)
        tap.contains(done.stderr, "Password expired", "an expired password")
        tap.contains(done.stderr, "give the user a new password", "what to do next")


def makes_certificates():
    """Certificates are made."""
    subprocess.run([MAKE_CERTS, certs.name], check=True)


if __name__ == "__main__":
    tap.main([makes_certificates, trusted, not_trusted, missing_ca_file, bad_certificate_first, client_certificate,
              client_certificate_missing, client_certificate_unknown, bearer_token, in_clear_text,
              files_that_are_open, redirects, what_a_user_may], certs.cleanup)
