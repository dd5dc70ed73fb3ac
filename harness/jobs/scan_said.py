"""What a scan says when it is done: what changed, what was asked, what came from the cache."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from harness import records
from harness.errors import IncompleteRun
from harness.numbers import count_of
from harness.settings import RunSpec
from harness.words import Asking, DispatchMode, Endpoint, Mode


def nothing_found(folder: Path, select: str) -> IncompleteRun:
    """What a scan without a candidate did find, and what to do with it."""
    rows = [record for _, record in records.iter_records(folder / records.RECORDS) if record.ok]
    flips, texts = (sum(bool(getattr(row, e.column)) for row in rows) for e in Endpoint)
    found = f"{count_of(flips, 'label flip')}, {count_of(texts, 'text change')}"
    said = f"no candidate: {found} in {count_of(len(rows), 'row')}"
    hint = "larger batches (--batch-sizes) or other prompts (--tasks) may change"
    if texts and select == "label_flip":
        again = f"--run-id {folder.name} --select text_change"
        hint = f"{again} takes those: the same command with it asks nothing again"
    return IncompleteRun(said, hint=hint, file=folder)


def exported_lines(exported: records.ExportedCandidates) -> Iterator[str]:
    """How many rows and prompts, and what moved them."""
    rows = exported.rows
    samples = len({(row["model"], row["task_name"], row["sample_id"]) for row in rows})
    found = f"{count_of(len(rows), 'row')} of {count_of(samples, 'prompt')}"
    yield f"selected  {found}: {exported.selection}"
    kinds = Counter(row["kind"] or "not known (S1 was not asked)" for row in rows)
    if kinds:
        yield "kinds     " + ", ".join(f"{kind} {n}" for kind, n in sorted(kinds.items()))
    if exported.left_out:
        yield (
            f"left out  {count_of(exported.left_out, 'row')} that the cache moved and not the "
            "batch (--include-cache keeps them)"
        )


def asked_line(spec: RunSpec) -> str:
    """Which askings and which mode, and what was not asked."""
    asked = spec.controls.askings
    lacks = [str(one) for one in Asking if one not in asked]
    lacks += [f"{mode.words} mode" for mode in Mode if mode not in spec.modes]
    return f"asked     {', '.join(asked)} in {spec.modes[0].words} mode; not {', '.join(lacks)}"


def cache_line(folder: Path) -> str:
    """How many batched answers took tokens from the cache, and which share of all prompt tokens.

    The share is over the askings that tell both; a prompt list tells no prompt's own.
    """
    took = known = there = cached = of = 0
    for _, record in records.iter_records(folder / records.RECORDS):
        there += record.ok
        if record.batched and record.batched.cached_tokens is not None:
            known += 1
            took += record.batched.cached_tokens > 0
        listed = record.dispatch_mode == DispatchMode.PROMPT_LIST
        for answer in filter(None, map(record.asked, Asking)):
            shared = listed and answer in (record.batched, record.askings.B2)
            if answer.prompt_tokens and answer.cached_tokens is not None and not shared:
                cached, of = cached + answer.cached_tokens, of + answer.prompt_tokens
    if not known:
        return "cache     not known: no batched answer tells its cached tokens"
    unknown = f", {there - known} not known" if there > known else ""
    share = f"; {cached:,} of {of:,} prompt tokens ({cached / of:.1%})" if of else ""
    share = share or "; which share of all prompt tokens is not known"
    return f"cache     {took} of {known} batched answers took prompt tokens from it{unknown}{share}"
