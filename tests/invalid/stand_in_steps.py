"""The steps and requests that a stand-in's log shows, made up so that its witnesses fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Row = dict[str, Any]
_MARK = "(EngineCore pid=2) INFO 11-28 00:00:00 [core.py:359] Iteration"
_ASKED = 'INFO:     127.0.0.1:40000 - "POST /v1/completions HTTP/1.1" 200 OK'
_EMPTIED = 'INFO:     127.0.0.1:40000 - "POST /reset_prefix_cache HTTP/1.1" 200 OK'
_PAUSED = 'INFO:     127.0.0.1:40000 - "POST /pause?mode=keep HTTP/1.1" 200 OK'
Step = tuple[int, int, int, int]


def served(rows: list[Row], *, emptied: bool = False) -> str:
    """What a server logs of the rows that it answered: a block of steps for each asking.

    Blocks that are alike stand there once, to be read in less time, and one step for the others.
    """
    lines: list[str] = []
    blocks, sent, more = set[tuple[Step, ...]](), set[tuple[str, ...]](), 0
    for row in rows:
        for name, found in _asked(row):
            batch = name in ("B", "B2")
            seen = (row["witness"] or {}).get(name) or {}
            dispatch = name, row["dispatch_mode"], str(row["group"])
            # rows of one batch may tell answers of other lengths than it was of
            once = *dispatch, str(sorted(seen.items())), str(_tokens(found))
            if batch and once in sent:
                continue
            lines += [_EMPTIED] * emptied
            requests, way = (row["batch_size"], row["dispatch_mode"]) if batch else (1, "")
            lines += [_PAUSED] * (way == "gated")
            if not batch or dispatch not in sent:
                lines += [_ASKED] * (1 if way == "prompt_list" else requests)
            sent |= {once, dispatch}
            block = tuple(_block(found, seen, requests))
            if block in blocks:
                more += sum(begun for begun, *_ in block)
            else:
                lines += [_line(*step) for step in block]
            blocks.add(block)
    return "".join(f"{line}\n" for line in [*lines, _line(more, 0, 0, 0)])


def answered(rows: list[Row]) -> int:
    """How many answers a server gave for these rows: alone for each prompt, and to each batch."""
    given: dict[tuple[str, ...], int] = {}
    for row in rows:
        for name, _ in _asked(row):
            if name in ("B", "B2"):
                given[name, row["dispatch_mode"], str(row["group"])] = row["batch_size"]
            else:
                given[name, row["task_name"], row["sample_id"]] = 1
    return sum(given.values())


def without_steps(log: str) -> str:
    """A log up to where it serves."""
    return log.partition("startup complete.\n")[0] + "startup complete.\n"


def _asked(row: Row) -> Iterator[tuple[str, Row]]:
    for name in ("S0", "S1", "B", "B2", "S2"):
        own = {"S0": "solo", "B": "batched"}
        found = row[own[name]] if name in own else row["askings"][name]
        if found is not None:
            yield name, found


def _block(found: Row, seen: Row, requests: int) -> list[Step]:
    tokens = _tokens(found)
    told = {"steps": tokens, "admitted_first_step": requests, "shared_decode_share": 0.0}
    if seen.get("source") == "log":
        told |= seen
    prompt = (found["prompt_tokens"] or 0) - (found["cached_tokens"] or 0)
    return _steps(told, requests, tokens, int(found["finish_reason"] == "stop"), prompt)


def _tokens(found: Row) -> int:
    return len(found["token_ids"]) if found["token_ids"] is not None else 10


def _line(begun: int, computed: int, decoding: int, decoded: int) -> str:
    return (
        f"{_MARK}(1): {begun} context requests, {computed} context tokens, {decoding} generation "
        f"requests, {decoded} generation tokens, iteration elapsed time: 1.00 ms"
    )


def _steps(told: Row, requests: int, tokens: int, ahead: int, prompt: int) -> list[Step]:
    """Steps of which a witness says what is told, as far as any could."""
    count, first, mixed = (
        int(told.get(name) or 0) for name in ("steps", "admitted_first_step", "mixed_steps")
    )
    left = max(requests + int(told.get("split_prefills") or 0) - first, 0)
    steps = [(first, prompt, 0, 0)] + [(left, 0, 0, 0)] * bool(left and not mixed)
    most = count - len(steps)
    if requests == 1 and not mixed and first == 1:
        most = min(most, tokens - 1 + ahead)
    decodes, shared = _decodes(told.get("shared_decode_share") or 0.0, most, mixed)
    for number in range(decodes):
        begun = 0
        if number < mixed:
            begun = max(left - mixed + 1, 1) if number == mixed - 1 else 1
        steps.append((begun, 0, 2 if number < shared and not begun else 1, 1))
    lacking = tokens - 1 - decodes
    if decodes and lacking > 0:
        steps[-1] = (*steps[-1][:3], 1 + lacking)
    return (steps + [(0, 0, 0, 0)] * count)[:count]


def _decodes(share: float, most: int, mixed: int) -> tuple[int, int]:
    """As many decode steps as there may be, and those of them that are shared."""
    for decodes in range(most, 0, -1):
        shared = round(share * decodes)
        if shared >= mixed and abs(shared - share * decodes) < 1e-9:
            return decodes, shared
    return max(most, 0), 0
