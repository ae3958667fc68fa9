#!/usr/bin/env python3
"""The agent with TLS: who has no certificate of the authority, or no token, learns nothing."""
import http.client
import json
import os
import ssl
import subprocess
import warnings

import kvtest
import tap
from agentlab import run_agent
from kvtest import HOST, wait_for

MAKE_CERTS = os.path.join(tap.build_dir(), "tests", "system", "make_certs")
lab = kvtest.Lab(dirs=(1, 1))
mutual, both = lab.nodes  # client certificates alone; certificates and a token


def path(name):
    return os.path.join(lab.folder, name)


def tls(name=None, ca="ca.crt"):
    context = ssl.create_default_context(cafile=path(ca))
    if name:
        context.load_cert_chain(path(name + ".crt"), path(name + ".key"))
    return context


def get(node, where, context, token=None):
    """(status, answer), or the name of the error."""
    connection = http.client.HTTPSConnection(HOST, node.port, timeout=10, context=context)
    try:
        connection.request("GET", where, headers={"Authorization": "Bearer " + token} if token else {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except (ssl.SSLError, ConnectionError, http.client.HTTPException) as e:
        return type(e).__name__, {}
    finally:
        connection.close()


def begin(node, *more):
    os.makedirs(node.dirs[0])
    status, out, err = run_agent(node, "makebootconfig", "-host", HOST, "-port", str(node.port), "-harange",
                                 "%d,%d" % (node.port + 2, node.port + 9), "-capacity", "1", "-storagedir",
                                 node.dirs[0], "-tls-cert", path("server.crt"), "-tls-key", path("server.key"),
                                 "-tls-client-ca", path("ca.crt"), *more)
    tap.equal(status, 0, "makebootconfig: %s%s" % (out, err))
    status, out, err = run_agent(node, "start", "-daemon")
    tap.equal(status, 0, "start: %s%s" % (out, err))


def starts():
    """Certificates are made, two agents start"""
    subprocess.run([MAKE_CERTS, lab.folder], check=True)
    begin(mutual)
    begin(both, "-token-file", lab.token_file)


def certificates():
    """Only a certificate of the authority opens the door"""
    tap.equal(get(mutual, "/v1/node", tls("client"))[0], 200, "with a certificate")
    status, answer = get(mutual, "/v1/node", tls())
    tap.equal((status, answer.get("code")), (401, "unauthorized"), "without a certificate")
    status, answer = get(mutual, "/v1/node", tls("stranger"))
    tap.ok(status == 401 or isinstance(status, str), "with a stranger's certificate: %s" % status)
    tap.equal(get(mutual, "/live", tls())[0], 200, "/live needs none")
    tap.equal(get(mutual, "/live", tls(ca="stranger.crt"))[0], "SSLCertVerificationError", "the client checks the agent")


def certificate_and_token():
    """With both configured, both are needed"""
    tap.equal(get(both, "/v1/node", tls("client"), lab.token)[0], 200, "with both")
    tap.equal(get(both, "/v1/node", tls("client"))[0], 401, "without the token")
    tap.equal(get(both, "/v1/node", tls("client"), "wrong" * 5)[0], 401, "with a wrong token")
    tap.equal(get(both, "/v1/node", tls(), lab.token)[0], 401, "without the certificate")


def old_protocols():
    """TLS 1.1 is not spoken, plain HTTP is not answered"""
    context = tls("client")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    tap.ok(isinstance(get(mutual, "/live", context)[0], str), "TLS 1.1 is refused")
    connection = http.client.HTTPConnection(HOST, mutual.port, timeout=10)
    try:
        connection.request("GET", "/live")
        tap.fail("plain HTTP was answered: %s" % connection.getresponse().status)
    except (ConnectionError, http.client.HTTPException):
        pass
    finally:
        connection.close()


def bad_files():
    """A key that others can read, and a key that does not fit, are refused at the start"""
    tap.equal(run_agent(mutual, "stop")[0], 0, "stop")
    os.chmod(path("server.key"), 0o644)
    status, _, err = run_agent(mutual, "start", "-daemon")
    tap.equal(status, 77, "status with an open key")
    tap.contains(err, "open to group or others", "error")
    os.chmod(path("server.key"), 0o600)
    os.rename(path("server.key"), path("kept.key"))
    with open(path("server.key"), "w", encoding="ascii") as f:
        f.write("no key\n")
    os.chmod(path("server.key"), 0o600)
    status, _, err = run_agent(mutual, "start", "-daemon")
    tap.equal(status, 1, "status with a key that is none")
    tap.contains(err, "check certificate and key", "error")
    os.rename(path("kept.key"), path("server.key"))
    tap.equal(run_agent(mutual, "start", "-daemon")[0], 0, "start")
    wait_for(lambda: get(mutual, "/v1/node", tls("client"))[0] == 200, "it answers")


def ends():
    """Agents end and nothing is left"""
    for node in lab.nodes:
        tap.equal(run_agent(node, "stop")[0], 0, "stop")
    left = kvtest.processes_of(lab.folder)
    tap.equal([kvtest.describe(p) for p in left], [], "processes left")
    lab.close()


if __name__ == "__main__":
    tap.main([starts, certificates, certificate_and_token, old_protocols, bad_files], ends)
