"""A stand-in for servers, scripted from files that `harness` never reads.

``forty_causes.json`` has causes; in ``false_causes.json`` stand beside them what only looks like
one: ``until``, lifetimes after which nothing changes any more, whatever is asked; ``missed``,
lifetimes in which nothing does; ``lost``, lifetimes of the base that are refused; ``mixed`` and
``asked``, the share of the mixed rows and of the prompts that a value leaves; ``refused_alone``, an
axis refused where no other differs.
"""

from __future__ import annotations

import random

from harness.cause import Axis, Seen


class StandIn:
    """What `Explorer` asks in place of a server: one cause, one lifetime a call."""

    def __init__(self, cause, axes, prompts, seed=0):
        self.cause, self.prompts, self.asked = cause, [f"p{n}" for n in range(prompts)], 0
        self.axes = [Axis(name, tuple(values)) for name, values in axes.items()]
        self._chance = random.Random(f"{cause['id']} {seed}")

    def __call__(self, cell, number):
        self.asked += 1
        now = {axis.name: axis.base for axis in self.axes} | dict(cell)
        for axis, value in self.cause.get("refused", {}).items():
            if now[axis] == value or (value == "*" and axis in dict(cell)):
                return Seen(frozenset(), 0, not_seen="the server refused to start")
        if [axis for axis, _ in cell] == [self.cause.get("refused_alone")]:
            return Seen(frozenset(), 0, not_seen="the server refused to start")
        if not cell and number in self.cause.get("lost", ()):
            return Seen(frozenset(), 0, not_seen="the server died")
        holds = any(all(now[a] in vs for a, vs in one.items()) for one in self.cause["clauses"])
        comes = self._chance.random() < self.cause.get("per_lifetime", 1.0)
        gone = self.asked > self.cause.get("until", self.asked)
        changed, missed = frozenset(), self.asked in self.cause.get("missed", ())
        if holds and comes and not (gone or missed):
            moved = any(axis in dict(cell) for axis in self.cause.get("moves", ()))
            which = self.prompts[::-1] if moved else self.prompts
            often = self.cause.get("per_prompt", 1.0)
            these = which[: self.cause["prompts"]]
            changed = frozenset(one for one in these if self._chance.random() < often)
        mixed, prompts = int(100 * self._share("mixed", now)), self.prompts
        prompts = prompts[: int(len(prompts) * self._share("asked", now))]
        noise = self.cause.get("noise", 0)
        return Seen(changed & {*prompts}, len(prompts), noise=noise, mixed=mixed, rows=100)

    def _share(self, of, now):
        shares = self.cause.get(of, {})
        return min((shares[axis].get(now[axis], 1) for axis in shares), default=1)
