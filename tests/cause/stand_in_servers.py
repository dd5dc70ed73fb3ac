"""A stand-in for servers, scripted from ``forty_causes.json``, which `harness` never reads."""

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
        holds = any(all(now[a] in vs for a, vs in one.items()) for one in self.cause["clauses"])
        comes = self._chance.random() < self.cause.get("per_lifetime", 1.0)
        changed = frozenset()
        if holds and comes:
            moved = any(axis in dict(cell) for axis in self.cause.get("moves", ()))
            which = self.prompts[::-1] if moved else self.prompts
            often = self.cause.get("per_prompt", 1.0)
            these = which[: self.cause["prompts"]]
            changed = frozenset(one for one in these if self._chance.random() < often)
        return Seen(changed, len(self.prompts), noise=self.cause.get("noise", 0), mixed=1)
