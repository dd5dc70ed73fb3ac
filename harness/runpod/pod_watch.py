"""A pod from its start to the end of its run: started once, watched, and never left unmentioned.

Whatever ends the watching, a person is told whether a pod is still there that costs money, and the
command that ends it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf

from msgspec import structs

from harness.errors import EnvironmentError_, HarnessError, Interrupted, RunError
from harness.numbers import duration_text
from harness.runpod.account import Account, Pod, Unavailable, told
from harness.runpod.fetching import Door
from harness.runpod.giving import State
from harness.runpod.order import Offer

_LOOKS, _STARTS_WITHIN_S, _PATIENCE_S, _GRACE_S = 3, 45 * 60, 15 * 60, 3600.0
_LAG_S = 120.0  # between RunPod's answer and what it lists
_OVER = ("EXITED", "TERMINATED")


def end_command(pod: str) -> str:
    """What ends a pod, as it is typed."""
    return f"harness runpod stop {pod}"


@dataclass(slots=True)
class PodWatch:
    """Starts a pod and looks after it.

    Args:
        account: of RunPod.
        offer: what was agreed to.
        say: told of each change.
        every_s: seconds between two looks.
        clock: seconds that have passed.
    """

    account: Account
    offer: Offer
    say: Callable[[str], object]
    every_s: float = 15.0
    clock: Callable[[], float] = time.monotonic
    _shown: str = field(default="", init=False)
    _since: float = field(default=0.0, init=False)
    _heard: float = field(default=0.0, init=False)
    _up: bool = field(default=False, init=False)
    _alive: bool = field(default=False, init=False)

    def start(self) -> Pod:
        """Start the pod, once; where RunPod's answer is lost, look whether it is there.

        Raises:
            NotPlaced: no room for it.
            EnvironmentError_: RunPod did not start it, or it is not known whether.
            Interrupted: in the middle; it is not known whether the pod is there.
        """
        body = self.offer.order.body()
        name = str(body["name"])
        try:
            try:
                pod = self.account.create(body)
            except Unavailable as error:
                if not error.carried_out:
                    raise
                pod = self._found(name, error)
        except KeyboardInterrupt:
            raise Interrupted(
                f"interrupted while pod {name} was asked for: it may be there and cost "
                f"${self.offer.per_hour:.2f} an hour",
                hint=f"`harness runpod status` lists it, `{end_command(name)}` ends it",
            ) from None
        return self._priced(structs.replace(pod, env=body["env"]))

    def again(self, pod: Pod) -> Pod:
        """Start a stopped pod once more; one that runs is taken as it is."""
        if pod.status in ("EXITED", "ERROR"):
            self.account.start(pod.id)
        return pod

    def end(self, pod: Pod, *, keep: bool) -> bool:
        """End a pod whose run is fetched; whether its volume went too, as the order says.

        Raises:
            RunError: it could not be ended.
        """
        delete = self.offer.order.delete and not keep
        try:
            (self.account.delete if delete else self.account.stop)(pod.id)
            return delete
        except HarnessError as error:
            why = f"the run is fetched whole, and its pod could not be ended: {error.message}"
            raise self.lost(pod, why) from error

    def _priced(self, pod: Pod) -> Pod:
        """From now on what RunPod says that this pod costs is what is told."""
        if pod.cost and 0 < pod.cost < inf and pod.cost != self.offer.per_hour:
            self.say(f"RunPod bills ${pod.cost:.2f} an hour, and listed ${self.offer.per_hour:.2f}")
            self.offer = replace(self.offer, per_hour=pod.cost)
        return pod

    def _found(self, name: str, error: Unavailable) -> Pod:
        """The pod of that name, which RunPod may have started before its answer was lost."""
        self.say(f"no answer to be used ({error.message}); looking whether pod {name} is there")
        try:
            for look in range(_LOOKS):
                found = [pod for pod in self.account.pods() if pod.name == name]
                if found:
                    return found[0]
                self.account.sleep(2.0 + look)
        except HarnessError as second:
            raise EnvironmentError_(
                f"it is not known whether pod {name} was started: {error.message}; "
                f"{second.message}. It may cost ${self.offer.per_hour:.2f} an hour",
                hint=f"`harness runpod status` lists it, `{end_command(name)}` ends it",
            ) from second
        raise EnvironmentError_(
            f"{error.message}; no pod of the name {name} is there", hint=error.hint
        ) from error

    def until_the_end(self, pod: Pod) -> State:
        """Look after a pod until its run has ended.

        Returns:
            How the run stands at its end; the pod is still there.

        Raises:
            RunError: the pod is gone, broken, or past its time; it was stopped where it could be.
        """
        self._since = self._heard = self.clock()
        while (state := self._look(pod)) is None:
            self.account.sleep(self.every_s)
        return state

    def _look(self, pod: Pod) -> State | None:
        """One look; the state of a run that has ended."""
        try:
            now = self.account.pod(pod.id)
        except Unavailable as error:
            self._tell(f"RunPod does not answer: {error.message}")
            if self.clock() - self._heard > _PATIENCE_S:
                why = f"RunPod has not answered for {duration_text(_PATIENCE_S)}"
                raise self.lost(pod, why) from error
            return None
        except HarnessError as error:
            raise self.lost(pod, error.message) from error
        self._heard = self.clock()
        if now is None or now.status in _OVER:
            if not self._alive and self.clock() - self._since < _LAG_S:
                return None
            raise self._evicted(pod, now)
        self._alive = True
        now = structs.replace(now, env={**pod.env, **now.env})
        if now.status == "ERROR":
            raise self.given_up(pod, "RunPod says that it is in an error it cannot leave")
        state = self._state(now) if now.status == "RUNNING" else None
        if state is not None and state.exit_code is not None:
            return state
        self._up = self._up or state is not None
        self._tell(f"{told(now.status).lower()}{progress(state)}")
        self._insist_on_time(pod)
        return None

    def _state(self, pod: Pod) -> State | None:
        try:
            return Door(pod, self.account.sleep).state()
        except HarnessError as error:
            self._up = True  # as far as anybody here can tell; its own clock ends it
            self._tell(f"running, and how far is not known: {error.message}")
        return None

    def _insist_on_time(self, pod: Pod) -> None:
        passed = self.clock() - self._since
        if passed > self.offer.order.hours * 3600 + _GRACE_S:
            raise self.given_up(pod, "it has run an hour longer than its limit")
        if not self._up and passed > _STARTS_WITHIN_S:
            raise self.given_up(pod, f"it was not up within {duration_text(_STARTS_WITHIN_S)}")

    def _tell(self, text: str) -> None:
        """Say what has changed, with the time and the money that have gone."""
        if text == self._shown:
            return
        self._shown = text
        self.say(f"{self.spent()}  {text}")

    def spent(self) -> str:
        """The time and the money that have gone since the watching began."""
        hours = (self.clock() - self._since) / 3600
        return f"{hours * 60:5.0f} min  ${hours * self.offer.per_hour:6.2f}"

    def _evicted(self, pod: Pod, now: Pod | None) -> HarnessError:
        if now is None or now.status == "TERMINATED":
            return RunError(
                f"pod {pod.id} is gone before its run had ended; nothing of it costs any more, and "
                "what it had not given is lost",
                hint="launch again; `harness runpod fetch` copies what there is during a run too",
            )
        return RunError(
            f"pod {pod.id} was stopped before its run was fetched: by RunPod, by itself or by "
            "hand; its volume stays and is billed",
            hint=f"what happened: harness runpod logs {pod.id}; go on: "
            f"harness runpod launch --resume {pod.id}; end: {end_command(pod.id)} --delete",
        )

    def given_up(self, pod: Pod, why: str) -> HarnessError:
        """Stop a pod that is of no use any more, its volume kept; what to say of it."""
        try:
            self.account.stop(pod.id)
        except HarnessError as error:
            return self.lost(pod, f"{why}, and it could not be stopped: {error.message}")
        return RunError(
            f"pod {pod.id} was stopped: {why}; its volume stays and is billed",
            hint=f"what happened: harness runpod logs {pod.id}; go on: "
            f"harness runpod launch --resume {pod.id}; end: {end_command(pod.id)} --delete",
        )

    def lost(self, pod: Pod, why: str) -> HarnessError:
        """What to say of a pod that nobody can look after from here."""
        return RunError(
            f"{why}; pod {pod.id} MAY STILL RUN and cost ${self.offer.per_hour:.2f} an hour",
            hint=f"end it: {end_command(pod.id)}, or at https://console.runpod.io/pods",
        )

    def still_there(self, pod: Pod) -> Interrupted:
        """What to say of a pod when the watching is interrupted."""
        return Interrupted(
            f"no longer watched; pod {pod.id} STILL RUNS and costs "
            f"${self.offer.per_hour:.2f} an hour, until its limit of "
            f"{self.offer.order.hours:g} h",
            hint=f"end it: {end_command(pod.id)}; watch it again: "
            f"harness runpod launch --resume {pod.id}",
        )


def progress(state: State | None) -> str:
    """How far a run is, to stand behind its pod's status; empty where nobody knows."""
    if state is None:
        return ""
    if state.run is None:
        return ", being set up"
    of = f" of {state.planned}" if state.planned is not None else ""
    return f", {told(state.run)}: {state.records}{of} records"
