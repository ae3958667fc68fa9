"""Command line, start line, and the end of the simulator."""
from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import stat
import sys
from typing import Any, Dict, List

from . import (rest_buckets, rest_failover, rest_groups, rest_init, rest_join, rest_read,
               rest_rebalance, rest_settings, rest_tasks)
from .control import Control
from .scenario import BadScenario, build
from .server import NodeServer
from .world import World

# Importing them filled the table of routes.
HANDLERS = (rest_buckets, rest_failover, rest_groups, rest_init, rest_join, rest_read,
            rest_rebalance, rest_settings, rest_tasks)
TICK = 0.02  # real seconds between two looks at the clock


def options(argv: List[str]) -> argparse.Namespace:
    """The command line; what it says goes over the scenario file."""
    parser = argparse.ArgumentParser(prog="couchbase", description=__doc__)
    parser.add_argument("--scenario", metavar="FILE", help="a JSON document")
    parser.add_argument("--json", metavar="TEXT", help="scenario on the command line")
    parser.add_argument("--version", dest="server_version", help="7.2, 7.6 or 8.0 (default)")
    parser.add_argument("--edition", choices=["enterprise", "community"])
    parser.add_argument("--nodes", type=int, help="number of member nodes")
    parser.add_argument("--spares", type=int, help="number of uninitialised nodes")
    parser.add_argument("--factor", type=float, help="virtual seconds per real second; 0: by hand")
    parser.add_argument("--seed", type=int, help="makes identifiers repeatable")
    parser.add_argument("--life", type=float, default=600.0, help="real seconds to live at most")
    return parser.parse_args(argv)


def scenario_of(given: argparse.Namespace) -> Dict[str, Any]:
    """File, then text, then single options."""
    document: Dict[str, Any] = {}
    if given.scenario:
        with open(given.scenario, encoding="utf-8") as file:
            document.update(json.load(file))
    if given.json:
        document.update(json.loads(given.json))
    for key, name in (("version", "server_version"), ("edition", "edition"), ("nodes", "nodes"),
                      ("spares", "spares"), ("factor", "factor"), ("seed", "seed")):
        if getattr(given, name) is not None:
            document[key] = getattr(given, name)
    return document


def start_line(world: World, control: Control) -> Dict[str, Any]:
    """What a test needs to know, as one line."""
    rows = {"nodes": [], "spares": []}  # type: Dict[str, List[Dict[str, Any]]]
    for host in world.hosts:
        row = {"name": host.name, "otpNode": host.otp, "hostname": host.hostname,
               "uuid": host.uuid}
        if host.tls_port:
            row["tls"] = f"{host.hostname.rpartition(':')[0]}:{host.tls_port}"
        rows["nodes" if host.cluster is not None else "spares"].append(row)
    return {**rows, "control": f"127.0.0.1:{control.listener.port}", "pid": os.getpid(),
            "clusterUUID": world.main().uuid if world.clusters else None}


def watch_parent(loop: asyncio.AbstractEventLoop, done: asyncio.Event) -> None:
    """Ends when stdin does; where stdin is no pipe, when the parent process changes."""
    kind = os.fstat(0).st_mode
    if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or os.isatty(0):
        def readable() -> None:
            if not os.read(0, 4096):
                loop.remove_reader(0)
                done.set()
        loop.add_reader(0, readable)
        return
    parent = os.getppid()

    def look() -> None:
        if os.getppid() != parent:
            done.set()
        else:
            loop.call_later(0.25, look)
    loop.call_later(0.25, look)


async def tick(world: World) -> None:
    """Real time drives the virtual clock."""
    while True:
        await asyncio.sleep(TICK)
        due = world.clock.elapsed()
        if due > 0:
            world.step(due)


async def run(world: World, life: float) -> None:
    """Serves until told to stop."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, done.set)
    control = Control(world, done)
    try:
        for host in world.hosts:
            NodeServer(world, host).open()
        apply_processes(world)
        control.listener.start()
        ticker = asyncio.ensure_future(tick(world))
        watch_parent(loop, done)
        print(json.dumps(start_line(world, control)), flush=True)
        try:
            await asyncio.wait_for(done.wait(), life)
        except asyncio.TimeoutError:
            pass
        ticker.cancel()
    finally:
        world.close()
        control.listener.close()


def apply_processes(world: World) -> None:
    """Nodes that are down when the story begins have been so for a long time."""
    for host in world.hosts:
        if host.first_process == "up":
            continue
        action = {"killed": world.kill, "frozen": world.freeze}[host.first_process]
        action(host)
        host.down_since = -3600.0
    for cluster in world.clusters:
        cluster.orchestrator = None
        cluster.elect()


def main(argv: List[str]) -> int:
    """0 at the ordinary end, 2 when the scenario is refused."""
    try:
        world = build(scenario_of(options(argv)))
    except (BadScenario, OSError, ValueError, KeyError, TypeError) as bad:
        print(f"couchbase simulator: {type(bad).__name__}: {bad}", file=sys.stderr)
        return 2
    try:
        asyncio.run(run(world, options(argv).life))
    except OSError as bad:
        print(f"couchbase simulator: {bad}", file=sys.stderr)
        return 2
    return 0
