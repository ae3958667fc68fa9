"""Which node holds which vBucket: pure functions over chains [active, replica1, ...]."""
from __future__ import annotations

from typing import Dict, Iterable, List, Optional, Sequence, Set, Tuple

Chain = List[str]


def spread(nodes: Sequence[str], groups: Dict[str, str], replicas: int, count: int) -> List[Chain]:
    """A balanced map; replicas go to other groups first."""
    nodes = sorted(nodes)
    chains: List[Chain] = []
    for number in range(count):
        if not nodes:
            chains.append([])
            continue
        start = number % len(nodes)
        active = nodes[start]
        rest = nodes[start + 1:] + nodes[:start]
        if rest:
            turn = (number // len(nodes)) % len(rest)
            rest = rest[turn:] + rest[:turn]
        rest.sort(key=lambda node: groups.get(node) == groups.get(active))
        chains.append([active] + rest[:replicas])
    return chains


def without(chains: List[Chain], gone: Iterable[str]) -> Tuple[List[Chain], int]:
    """The map after `gone` dropped out (replicas promoted), and how many vBuckets lost all."""
    lost_nodes = set(gone)
    kept = [[node for node in chain if node not in lost_nodes] for chain in chains]
    lost = sum(1 for old, new in zip(chains, kept) if old and not new)
    return kept, lost


def would_lose(chains: List[Chain], gone: Iterable[str]) -> bool:
    """True when some vBucket lives on `gone` only."""
    lost_nodes = set(gone)
    return any(chain and set(chain) <= lost_nodes for chain in chains)


def moved_away(chains: List[Chain], gone: Set[str], share: float) -> List[Chain]:
    """Graceful failover under way: the first `share` of the victims' actives have swapped."""
    owned = [i for i, chain in enumerate(chains) if chain and chain[0] in gone]
    done = set(owned[:int(len(owned) * share)])
    result = []
    for i, chain in enumerate(chains):
        heirs = [node for node in chain if node not in gone]
        if i in done and heirs:
            chain = [heirs[0]] + [node for node in chain if node != heirs[0]]
        result.append(list(chain))
    return result


def counts(chains: List[Chain]) -> Dict[str, Tuple[int, int]]:
    """Per node: active and replica vBuckets."""
    table: Dict[str, List[int]] = {}
    for chain in chains:
        for position, node in enumerate(chain):
            table.setdefault(node, [0, 0])[min(position, 1)] += 1
    return {node: (row[0], row[1]) for node, row in table.items()}


def replication(chains: List[Chain], replicas: int) -> Dict[str, float]:
    """Per node: share of the wanted replicas that exist for the vBuckets active there."""
    table: Dict[str, List[int]] = {}
    for chain in chains:
        if chain:
            row = table.setdefault(chain[0], [0, 0])
            row[0] += 1
            row[1] += len(chain) - 1
    return {node: (have / (own * replicas) if replicas else 1.0)
            for node, (own, have) in table.items()}


def sole_owners(chains: List[Chain]) -> Set[str]:
    """Nodes that hold the only copy of some vBucket."""
    return {chain[0] for chain in chains if len(chain) == 1}


def indexed(chains: List[Chain], servers: Sequence[str], replicas: int) -> List[List[int]]:
    """The map as the REST answer has it: indexes into the server list, -1 for none."""
    place: Dict[Optional[str], int] = {node: i for i, node in enumerate(servers)}
    width = replicas + 1
    return [([place.get(node, -1) for node in chain] + [-1] * width)[:width] for chain in chains]
