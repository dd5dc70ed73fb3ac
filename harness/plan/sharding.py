"""A lifetime cut into parts for servers side by side; what meets stays together."""

from collections.abc import Sequence
from dataclasses import replace

from harness.plan.planning import Lifetime, Plan


def sharded(plan: Plan, servers: int) -> Plan:
    """The plan with each lifetime cut into so many parts that ``servers`` have something to do.

    Groups that share a prompt stay in one part: its askings alone are asked once for all of them.
    Within a part the records keep their order.
    """
    parts = -(-servers // max(1, len(plan.lifetimes)))
    return Plan(tuple(part for one in plan.lifetimes for part in _parts(one, parts)))


def _parts(lifetime: Lifetime, most: int) -> Sequence[Lifetime]:
    """At most so many parts, of which each has about as many records as the others."""
    chosen: list[set[str]] = [set() for _ in range(most)]
    for ids in _together(lifetime):
        min(chosen, key=len).update(ids)
    return [
        replace(lifetime, records=tuple(r for r in lifetime.records if r.record_id in part))
        for part in chosen
        if part
    ]


def _together(lifetime: Lifetime) -> Sequence[Sequence[str]]:
    """The ids of records whose groups meet, by the first one's place."""
    root: dict[str, str] = {}

    def found(prompt: str) -> str:
        while root[prompt] != prompt:
            root[prompt] = prompt = root[root[prompt]]
        return prompt

    for record in lifetime.records:
        first, *others = (prompt.sha256 for prompt in record.group.prompts)
        root.setdefault(first, first)
        for other in others:
            root[found(root.setdefault(other, other))] = found(first)
    met: dict[str, list[str]] = {}
    for record in lifetime.records:
        met.setdefault(found(record.group.target.sha256), []).append(record.record_id)
    return list(met.values())
