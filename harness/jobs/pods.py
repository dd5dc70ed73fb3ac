"""A run in a pod of RunPod: launched, looked at, fetched and ended."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import report, runpod
from harness.conduct import sigterm_is_interrupt
from harness.errors import (
    EnvironmentError_,
    GateFailed,
    HarnessError,
    Interrupted,
    RunError,
    UsageError,
    nearest,
)
from harness.files import write_json
from harness.hostile import visible
from harness.jobs import Done, Remark
from harness.numbers import NONE, count_of, size_text
from harness.places import shipped
from harness.refused import insist_writable
from harness.runpod import Account, Door, Order, Pod, PodWatch, State, end_command, told
from harness.secrets import redact_text

TEMPLATE = "docker/runpod/template.json"
_HEADS = ("pod", "status", "$/hour", "GPU", "name")
_WIDEST = (16, 12, 7, 22)
_IDLE_S, _MISSES = 3.0, 5
_BY_CODE = {1: GateFailed, 2: UsageError, 3: EnvironmentError_}
Say = Callable[[str], object]
Agree = Callable[[str], bool]


def template_of(path: Path | None, image: str | None, variables: list[str]) -> runpod.Template:
    """The template of a file, else the one that ships; see `harness.runpod.read_template`."""
    given = runpod.read_variables(variables)
    return runpod.read_template(path or shipped(TEMPLATE), image, given)


def template(made: runpod.Template, out: Path | None, *, register: bool) -> Done:
    """Show, write or register a template."""
    if register:
        made_id = Account().register(made.body())
        return Done([f"template {told(made_id)} ({told(made.name)}) is in your account"])
    if out is None:
        return Done([], made.body())
    write_json(out, made.body(), parents=True)
    return Done([out], made.body())


def order_of(
    made: runpod.Template, gpu: str, count: int, cloud: str, min_cuda: str | None
) -> Order:
    """A pod of a template; see `harness.runpod.Order`."""
    return Order(made, gpu, count, cloud.upper(), min_cuda)


def launch(
    order: Order | str,
    results: Path,
    agree: Agree,
    say: Say,
    *,
    keep: bool,
    detach: bool,
    dry_run: bool,
) -> Done:
    """Start a pod, or one of that id again; watch it, fetch what it made, end it.

    ``keep`` stops it at the end, so that its volume stays; else it is deleted.

    Raises:
        HarnessError: no pod was started, or its run failed; the message says what still costs.
    """
    account = Account()
    old = _pod(account, order) if isinstance(order, str) else None
    wanted = Order.of(old) if old else order
    assert isinstance(wanted, Order)
    wanted = replace(wanted, delete=not keep)
    gpus = account.gpus(wanted.cloud, wanted.count)
    offer = wanted.offer(gpus, placed=old is not None)
    shown = [part for line in offer.lines() for part in report.fitted(line, indent=" " * 11)]
    if dry_run:
        return Done([*shown, "nothing was started"])
    for line in shown:
        say(line)
    insist_writable(
        results, "another --results"
    )  # before there is anything that costs and cannot be kept
    if not agree(f"start it for ${offer.per_hour:.2f} an hour?"):
        return Done(["nothing was started"])
    watch = PodWatch(account, offer, say)
    with sigterm_is_interrupt():
        pod = watch.again(old) if old else watch.start()
        try:
            say(f"pod {pod.id} is started and costs; end it: {end_command(pod.id)}")
            if detach:
                return Done(_by_itself(pod, wanted))
            return _concluded(watch, pod, watch.until_the_end(pod), results)
        except KeyboardInterrupt:
            raise watch.still_there(pod) from None


def _by_itself(pod: Pod, order: Order) -> list[str]:
    return [
        f"pod {pod.id} runs by itself; once up, it stops within {order.hours:g} h,",
        "and an hour later should it hang",
        f"  harness runpod status {pod.id}",
        f"  harness runpod logs {pod.id} --follow",
        f"  harness runpod fetch {pod.id}",
        f"  {end_command(pod.id)}",
    ]


def _concluded(watch: PodWatch, pod: Pod, state: State, results: Path) -> Done:
    """Fetch what an ended run left, then end its pod, and say how the run ended."""
    folder, code = _folder(results, pod), state.exit_code
    try:
        door = Door(pod, watch.account.sleep)
        fetched = runpod.fetch(door, folder, _again(pod, results), watch.say)
    except (HarnessError, OSError) as error:
        why = f"its run ended with exit code {code} and was not fetched whole: {error}"
        raise watch.given_up(pod, why) from error
    unfinished = code == RunError.exit_code  # and can go on, where its weights and caches are
    deleted = watch.end(pod, keep=unfinished)
    left = "deleted with its volume" if deleted else "stopped; its volume stays and is billed"
    spent = " ".join(watch.spent().split())
    lines = [*_fetched_lines(fetched, folder), f"pod {pod.id} is {left}; watched for {spent}"]
    if not deleted:
        lines += [f"  that ends too: {end_command(pod.id)} --delete"]
    if unfinished:
        lines += [f"  it goes on: harness runpod launch --resume {pod.id}"]
    if not code:
        return Done(lines)
    hint = f"the last lines of {folder / 'runpod_launch.log'} say why"
    message = f"the run in the pod ended with exit code {code}"
    return Done(lines, failure=_BY_CODE.get(code, RunError)(message, hint=hint))


def status(word: str | None) -> Done:
    """Our pods in a table, or one of them with the state of its run."""
    account = Account()
    if word is None:
        ours = [pod for pod in account.pods() if runpod.is_ours(pod)]
        nothing = ["no pod of ours is there; nothing of ours costs"]
        table = _table([_HEADS, *map(_cells, ours)]) if ours else nothing
        return Done(table, [_row(pod) for pod in ours])
    pod, state, why = _pod(account, word), None, "the pod's server is not up, yet or any more"
    if pod.status == "RUNNING":
        try:
            state = Door(pod, account.sleep).state()
        except HarnessError as error:
            why = error.message
    told_of = _pod_lines(pod, state, why)
    lines = [part for line in told_of for part in report.fitted(line, indent=" " * 9)]
    return Done(lines, _row(pod) | {"run": state})


def _row(pod: Pod) -> dict[str, Any]:
    names = ("id", "name", "status", "cloud", "image", "created_at")
    row = {name: visible(getattr(pod, name)) for name in names}
    return row | {"usd_per_hour": pod.cost, "gpu": pod.gpu}


def _cells(pod: Pod) -> tuple[str, ...]:
    cost = NONE if pod.cost is None else f"{pod.cost:.2f}"
    gpu = f"{pod.gpu.count} x {told(pod.gpu.id)}" if pod.gpu else NONE
    return pod.id, told(pod.status), cost, gpu, told(pod.name)


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Rows in at most 80 columns; what is too long is cut."""
    widths = [min(most, max(len(row[at]) for row in rows)) for at, most in enumerate(_WIDEST)]
    widths.append(report.COLUMNS - sum(widths) - 2 * len(widths))
    for row in rows:
        cells = [
            cell if len(cell) <= width else f"{cell[: width - 1]}…"
            for cell, width in zip(row, widths, strict=True)
        ]
        pairs = zip(cells, widths, strict=True)
        yield "  ".join(cell.ljust(width) for cell, width in pairs).rstrip()


def _pod_lines(pod: Pod, state: State | None, why: str) -> Iterator[str]:
    shown, status_, cost, gpu, name = _cells(pod)
    yield f"pod      {shown}  {name}"
    yield f"status   {status_}{runpod.progress(state)}"
    yield f"GPU      {gpu}, {told(pod.cloud).lower()} cloud, since {told(pod.created_at) or NONE}"
    yield f"cost     ${cost} an hour now" + (", and its volume" if pod.mounts else "")
    if pod.status == "RUNNING" and state is None:
        yield f"run      not known: {why}"
    if state is not None and state.exit_code is not None:
        yield f"run      ended with exit code {state.exit_code}"
    if pod.status == "RUNNING":
        yield f"next     harness runpod fetch {shown}"
    if pod.status == "EXITED":
        yield f"next     harness runpod launch --resume {shown}"
    yield f"end      {end_command(shown)}" + (" --delete" if pod.status == "EXITED" else "")


def logs(word: str, tail: int, *, keep_on: bool) -> Iterator[str | Remark]:
    """The last lines of a pod's log, then, where asked for, what comes until the pod is over.

    A log without a line is a remark.
    """
    account, last, misses = Account(), "", 0
    pod: Pod | None = _pod(account, word)
    while pod is not None:
        try:
            for line in account.log(pod.id, tail, _IDLE_S, last):
                last = line.id
                yield from report.fitted(told_line(line), indent=" " * 10)
            misses = 0
        except runpod.Unavailable:
            misses += 1
            if not keep_on or misses > _MISSES:
                raise
        if not misses and (not keep_on or pod.status in ("EXITED", "TERMINATED", "ERROR")):
            if not last:
                yield Remark(f"pod {pod.id} is {told(pod.status).lower()}; its log is empty")
            return
        account.sleep(_IDLE_S)
        pod = account.pod(pod.id)


def told_line(line: runpod.LogLine) -> str:
    """A foreign line with the time of day in front, and ``system`` where RunPod says it."""
    at = line.ts[11:19] if len(line.ts) >= 19 else " " * 8
    source = "system: " if line.source == "system" else ""
    return visible(f"{at}  {source}{redact_text(line.line)}").replace("\n", " ").replace("\t", "  ")


def fetch(word: str, results: Path, say: Say) -> Done:
    """Copy what a running pod has; a run that has not ended is a part, which sets the exit code.

    Raises:
        RunError: the pod does not run, so nobody is there to give.
    """
    account = Account()
    pod = _pod(account, word)
    if pod.status != "RUNNING":
        hint = f"harness runpod launch --resume {pod.id}: it is started, fetched and ended"
        if pod.status in ("PROVISIONING", "STARTING"):
            hint = f"it is starting: `harness runpod status {pod.id}`, then the same command"
        raise RunError(f"pod {pod.id} is {told(pod.status).lower()}", hint=hint)
    folder, again = _folder(results, pod), _again(pod, results)
    still = f"pod {pod.id} runs on and costs; end it: {end_command(pod.id)}"
    try:
        with sigterm_is_interrupt():
            fetched = runpod.fetch(Door(pod, account.sleep), folder, again, say)
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped by a signal; {still}", hint=f"it goes on there: {again}"
        ) from None
    failure = None
    if fetched.exit_code is None:
        failure = RunError("the run has not ended; this is what there was", hint=f"later: {again}")
    return Done([*_fetched_lines(fetched, folder), still], failure=failure)


def _fetched_lines(fetched: runpod.Fetched, folder: Path) -> Iterator[str]:
    kept = f", {fetched.kept} of them here before" if fetched.kept else ""
    count = count_of(fetched.files, "file")
    whole = f"{folder}: {count}, {size_text(fetched.size)}, each of the pod's SHA-256{kept}"
    yield from report.fitted(whole)
    runs = sorted(folder.glob("*/validation.json"), key=lambda path: path.stat().st_mtime_ns)
    yield from (f"  harness report {path.parent}" for path in runs[-1:])


def stop(word: str, agree: Agree, *, delete: bool) -> Done:
    """End a pod: its compute, or with ``delete`` all of it."""
    account = Account()
    pod = _pod(account, word)
    if not runpod.is_ours(pod):
        hint = "end it at https://console.runpod.io/pods"
        raise UsageError(f"pod {pod.id} is none of the harness's", hint=hint)
    if not delete:
        account.stop(pod.id)
        volume = "its volume stays and is billed" if pod.mounts else "nothing of it costs"
        more = [f"  with the volume: {end_command(pod.id)} --delete"] if pod.mounts else []
        return Done([f"pod {pod.id} is stopped; {volume}", *more])
    if not agree(f"delete pod {pod.id} ({told(pod.name)}) with all that is on its volume?"):
        return Done(["nothing was deleted"])
    account.delete(pod.id)
    return Done([f"pod {pod.id} is deleted; nothing of it costs any more"])


def give(results: Path, host: str, port: int) -> None:
    """In the pod: serve the results folder; see `harness.runpod.give`."""
    runpod.give(results, host, port)


def _pod(account: Account, word: str) -> Pod:
    """The pod of that id or name.

    Raises:
        UsageError: there is none.
    """
    if re.fullmatch(r"[A-Za-z0-9]+", word) and (found := account.pod(word)):
        return found
    pods = account.pods()
    for pod in pods:
        if word in (pod.id, pod.name):
            return pod
    known: list[Any] = [pod.id for pod in pods if runpod.is_ours(pod)]
    hint = (
        nearest(word, known, "there are")
        if known
        else "there is none of ours; nothing of ours costs"
    )
    raise UsageError(f"no pod {told(word)!r}", hint=hint)


def _folder(results: Path, pod: Pod) -> Path:
    return results / f"runpod-{pod.id}"


def _again(pod: Pod, results: Path) -> str:
    return f"harness runpod fetch {pod.id} --results {results}"
