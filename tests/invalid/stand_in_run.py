"""A stand-in for a run folder: what a run of two modes leaves behind, made up in memory.

No server answered: texts, tokens and engine steps are invented, and so consistent that every check
finds what it looks for. A test plants one fault in a copy and writes that.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from sealing import seal
from stand_in_server import VERSION, judged, log_of, proof_of
from stand_in_steps import answered, served, without_steps

from harness.flips import flips
from harness.records import SIDE_SCHEMA, fingerprint, made_again, plan_seal, record_id, sealed
from harness.words import pattern_of

Row = dict[str, Any]
MODES = ("standard", "batch_invariant")
VERDICTS = {"standard": "clean", "batch_invariant": "active"}
SAMPLING = {"max_tokens": 64, "temperature": 0.0, "seed": 42}
KEY = ("model", "task_name", "sample_id", "batch_size", "dispatch_mode")
LASTING = ("server_default", "on")
TASK = "refusals"
_ANSWERED = (
    *("solo_score", "batch_score", "solo_label", "batch_label", "solo_response_hash"),
    *("batch_response_hash", "label_flip", "text_change", "pattern", "solo", "batched"),
    *("companions", "warmed", "witness"),
)


_SECONDS = partial(lambda times: round(0.03 + next(times) * 0.000137 % 0.02, 6), count(1))
"""Another time for each answer."""


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def tokens_of(text: str) -> list[int]:
    """Ten made-up tokens."""
    return [int(digest(text)[n : n + 4], 16) for n in range(0, 40, 4)]


def answer(text: str, *, cached: int | None = 0, earlier: int | None = 0) -> Row:
    """An answer with made-up tokens, judged by how it begins."""
    refused = text.startswith("I cannot")
    return {
        "text": text,
        "token_ids": tokens_of(text),
        "finish_reason": "stop",
        "latency_s": _SECONDS(),
        "attempts": 1,
        "prompt_tokens": 200,
        "cached_tokens": cached,
        "cached_earlier": earlier,
        "score": float(refused),
        "label": "refused" if refused else "complied",
        "score_evidence": {"rule": "stand-in", "scorer": "refusal/strict/2"},
    }


def seen(*, admitted: int, share: float, mixed: int = 0, source: str = "log") -> Row:
    """What the engine's steps show of one asking."""
    steps = {"admitted_first_step": admitted, "mixed_steps": mixed} if source == "log" else {}
    return {"steps": 11, "shared_decode_share": share, **steps, "source": source}


@dataclass
class StandIn:
    """A run folder in memory; `write` puts it on a disk."""

    rows: list[Row]
    startups: dict[str, Row]
    metadata: Row
    candidates: list[Row] | None
    logs: dict[str, bytes]
    tail: str = ""
    prompts: list[Row] | None = None
    steps_kept: bool = False

    def copy(self) -> StandIn:
        return deepcopy(self)

    def write(self, folder: Path) -> Path:
        """Put it on a disk; its logs show the steps of its records, unless they are to be kept."""
        folder.mkdir(parents=True)
        if not self.steps_kept:
            self.log_steps()
        self.count_answers()
        lines = "".join(json.dumps(sealed(row)) + "\n" for row in self.rows)
        (folder / "vllm_records.jsonl").write_text(lines + self.tail)
        seal(folder / "metadata.json", self.metadata)
        for name, startup in self.startups.items():
            seal(folder / name, startup)
        for name, log in self.logs.items():
            (folder / name).write_bytes(log)
        if self.candidates is not None:
            text = "".join(json.dumps(row) + "\n" for row in self.candidates)
            (folder / "selected_candidates.jsonl").write_text(text)
        if self.prompts is not None:
            text = "".join(json.dumps(row) + "\n" for row in self.prompts)
            (folder / "prompt_hashes.jsonl").write_text(text)
        return folder

    def replan(self) -> None:
        """Write fingerprint and seal anew, as a run would of what is planned now."""
        spec = self.metadata["resolved_spec"]
        if self.candidates is not None and self.prompts is not None and spec:
            prompts = [(one["prompt"], one["sha256"]) for one in self.prompts]
            keys = [tuple(row[k] for k in KEY) for row in self.candidates]
            names = [model["name"] for model in spec["models"]]
            plan = [(r.record_id, r.hashes) for r in made_again(names, MODES, keys, prompts)]
            self.metadata["fingerprint"] = fingerprint(spec, {}, plan)
        self.metadata["plan_sha256"] = plan_seal(self.metadata)

    def log_steps(self) -> None:
        """Have each log that is as it was written show the steps of the records of its start."""
        for startup in self.startups.values():
            for number, start in enumerate(startup["attempts"], start=1):
                log = self.logs.get(start["log"])
                if log is None or sha256(log).hexdigest() != start["log_sha256"]:
                    continue
                model, mode, ok = startup["model"], startup["mode"], "ok"
                rows = [row for row in self.of(mode, model) if row["status"] == ok]
                mine = [row for row in rows if row["start"] in (number, None)]
                spec = self.metadata.get("resolved_spec") or {"controls": {}}
                emptied = spec["controls"].get("prefix_caching") == "reset"
                text = without_steps(log.decode()) + served(mine, emptied=emptied)
                self.logs[start["log"]] = text.encode()
                start["log_sha256"] = digest(text)

    def count_answers(self, *, anew: bool = False) -> None:
        """Have each start that ended well count the answers of its rows, where none are counted."""
        for startup in self.startups.values():
            rows = [row for row in self.of(startup["mode"], startup["model"]) if row["solo"]]
            for number, start in enumerate(startup["attempts"], start=1):
                if start["ended_at"] and not start["error"]:
                    mine = [row for row in rows if (row["start"] or 1) == number]
                    counted = {"stop": float(answered(mine)), "length": 0.0}
                    if anew or "finished" not in start["metrics"]:
                        start["metrics"]["finished"] = counted

    def of(self, mode: str, model: str | None = None) -> list[Row]:
        """The rows of a mode, and of a model."""
        return [r for r in self.rows if r["mode"] == mode and model in (None, r["model"])]

    def partner(self, row: Row) -> Row:
        """The same candidate in the other mode."""
        return next(
            other
            for other in self.rows
            if all(other[k] == row[k] for k in KEY) and other["mode"] != row["mode"]
        )

    def starts(self, mode: str | None = None) -> list[Row]:
        """The starts of a mode's servers, or of all."""
        return [
            start
            for startup in self.startups.values()
            if mode in (None, startup["mode"])
            for start in startup["attempts"]
        ]

    @property
    def controls(self) -> Row:
        return self.metadata["resolved_spec"]["controls"]


def read_run(folder: Path) -> StandIn:
    """A real run's folder, to plant something in a copy of it."""

    def lines(name: str) -> list[Row]:
        return [json.loads(line) for line in (folder / name).read_text().splitlines()]

    return StandIn(
        lines("vllm_records.jsonl"),
        {path.name: json.loads(path.read_text()) for path in folder.glob("startup_*.json")},
        json.loads((folder / "metadata.json").read_text()),
        lines("selected_candidates.jsonl"),
        {path.name: path.read_bytes() for path in folder.glob("*.log")},
        prompts=lines("prompt_hashes.jsonl"),
        steps_kept=True,
    )


def asked(row: Row) -> Iterator[tuple[str, Row]]:
    """Each asking of a row that it holds."""
    for name in ("S0", "S1", "B", "B2", "S2"):
        if (found := asking(row, name)) is not None:
            yield name, found


def asking(row: Row, name: str) -> Row | None:
    """The answer of an asking."""
    own = {"S0": "solo", "B": "batched"}
    return row[own[name]] if name in own else row["askings"][name]


def restate(row: Row) -> None:
    """Write anew what follows from the answers of a row, as a run would."""
    for side, short in (("solo", "solo"), ("batched", "batch")):
        row[f"{short}_score"], row[f"{short}_label"] = row[side]["score"], row[side]["label"]
        row[f"{short}_response_hash"] = digest(row[side]["text"])
    texts = [asking(row, name) for name in ("S0", "S1", "B", "S2")]
    row["pattern"] = None
    if all(texts):
        row["pattern"] = str(pattern_of(*(one["text"] for one in texts)))
    row["text_change"] = row["solo"]["text"] != row["batched"]["text"]
    judged = (row["solo_score"], row["solo_label"], row["batch_score"], row["batch_label"])
    row["label_flip"] = flips(*judged)


def failed(row: Row, error: str) -> Row:
    """The record that is written of a row that could not be answered."""
    nothing = {"askings": dict.fromkeys(("S1", "S2", "B2")), **dict.fromkeys(_ANSWERED)}
    return {**row, **nothing, "status": "error", "error": error}


def say(run: StandIn, row: Row, text: str, names: tuple[str, ...] = (), **more: Any) -> None:
    """Have askings (all without ``names``) answer ``text``, and tell the batch's other rows."""
    for name, found in asked(row):
        if not names or name in names:
            sent = {name: found[name] for name in ("prompt_tokens", "attempts") if name in found}
            found |= {**answer(text, cached=found["cached_tokens"]), **sent, **more}
            found["cached_earlier"] = found["cached_earlier"]
    restate(row)
    own = f"{row['task_name']}/{row['sample_id']}"
    for mate in run.rows:
        if all(mate[k] == row[k] for k in ("mode", "model", "dispatch_mode", "group")):
            for one in mate["companions"] or ():
                if one["key"] == own:
                    one["response_hash"] = row["batch_response_hash"]


def relog(run: StandIn, start: Row, *, of: str = "", **about: Any) -> None:
    """Have a start's server log otherwise, and its file tell what that log shows.

    Args:
        of: the mode whose path the log shows, where it is not the start's own.
    """
    mode = next(s["mode"] for s in run.startups.values() if start in s["attempts"])
    log = logged(start, of or mode, **about)
    run.logs[start["log"]] = log.encode()
    told = judged(log, mode)
    start |= {"log_sha256": digest(log), **(told if not of else {"facts": told["facts"]})}


def logged(start: Row, mode: str, **about: Any) -> str:
    """The log of a start's server up to where it serves."""
    name = start["server"]["served_model_name"]
    own = {"model": f"org/{name.partition('@')[0]}", "name": name, "at": start["started_at"][11:19]}
    return log_of(mode, ranks=start.get("evidence", {"workers": 1})["workers"], **own | about)


def stand_in(**shape: Any) -> StandIn:
    """A valid run, of one's own to plant something in; `_made` says what shapes there are."""
    changed = shape.pop("changed", most_change)
    made: StandIn = pickle.loads(_pickled(tuple(sorted(shape.items())), changed))
    return made


def most_change(number: int) -> bool:
    """Three prompts of four, in standard mode."""
    return number % 4 != 3


@lru_cache(maxsize=64)
def _pickled(shape: tuple[tuple[str, Any], ...], changed: Callable[[int], bool]) -> bytes:
    return pickle.dumps(_made(changed=changed, **dict(shape)))


def _made(
    *,
    changed: Callable[[int], bool],
    models: tuple[str, ...] = ("llama",),
    prompts: int = 12,
    size: int = 4,
    schedules: tuple[str, ...] = ("synchronized", "gated", "staggered"),
    policy: str = "off",
    askings: tuple[str, ...] = ("S0", "S1", "B", "S2"),
    ranks: int = 1,
    proof: bool = True,
    lifetimes: int = 1,
    source: str = "log",
    list_tokens: bool = False,
    backend: str = "native",
) -> StandIn:
    """A valid run: ``prompts`` rows a model and mode, in batches of ``size``.

    Args:
        changed: which prompts change with the batch in standard mode.
        list_tokens: whether a prompt list tells its cached tokens.
    """
    ids = [f"{TASK}/r_{n:02d}" for n in range(prompts)]
    candidates = [
        {
            "model": model,
            "task_name": TASK,
            "sample_id": f"r_{n:02d}",
            "batch_size": size,
            "dispatch_mode": schedules[n // size % len(schedules)],
            "phase": "phase1",
            "domain": "safety",
            "original_direction": "refuse_to_comply",
        }
        for model in models
        for n in range(prompts)
    ]
    hashes = [{"prompt": name, "sha256": digest(name)} for name in ids]
    run = StandIn([], {}, {}, candidates, {}, prompts=hashes)
    for model in models:
        for mode in MODES:
            mine = [c for c in candidates if c["model"] == model]
            for n, candidate in enumerate(mine):
                group = _group(ids, n, size)
                row = _row(
                    candidate, mode, n, group, policy, askings, source, list_tokens, changed, ids
                )
                share = len(mine) // lifetimes
                row["start"] = min(n // share + 1, lifetimes) if share else lifetimes
                run.rows.append(row)
            name = f"startup_{mode}_{model}.json"
            about = lifetimes, len(mine), ranks, proof, policy, backend
            attempts = [_start(run, mode, model, n, *about) for n in range(lifetimes)]
            run.startups[name] = {
                "schema_version": SIDE_SCHEMA,
                "model": model,
                "mode": mode,
                "attempts": attempts,
                "verdict": VERDICTS[mode],
            }
    run.metadata = _metadata(models, candidates, policy, askings, proof, backend)
    run.replan()
    run.log_steps()
    return run


def _group(ids: list[str], n: int, size: int) -> list[str]:
    """The slice of the population that holds prompt ``n``, a short last one filled up."""
    start = n // size * size
    group = ids[start : start + size]
    return group + [ids[(start + filled) % len(ids)] for filled in range(len(group), size)]


def _text(n: int, mode: str, model: str, *, batched: bool) -> str:
    """Another answer for each prompt and model; ``batched``: the one that a batch changes it to."""
    words = ("I cannot help with that.", "Sure, here it is.")[batched]
    return f"{words} {model} {n} {mode if batched else ''}".rstrip()


def _row(
    candidate: Row,
    mode: str,
    n: int,
    group: list[str],
    policy: str,
    askings: tuple[str, ...],
    source: str,
    list_tokens: bool,
    changed: Callable[[int], bool],
    ids: list[str],
) -> Row:
    model, schedule = candidate["model"], candidate["dispatch_mode"]
    size, warm = candidate["batch_size"], policy in LASTING
    is_list = schedule == "prompt_list" and not list_tokens

    def in_batch(number: int) -> str:
        return _text(number, mode, model, batched=mode == "standard" and changed(number))

    def told(name: str) -> Row:
        batched = name in ("B", "B2")
        text = in_batch(n) if batched else _text(n, mode, model, batched=False)
        tokens: int | None = 16 if warm and name != "S0" else 0
        if batched and is_list:
            tokens = None
        return answer(text, cached=tokens, earlier=tokens)

    place = group.index(ids[n])
    companions = [
        {
            "key": key,
            "response_hash": digest(in_batch(ids.index(key))),
            "finish_reason": "stop",
            "degenerate": False,
            "cached_tokens": 16 if warm and not is_list else None if is_list else 0,
        }
        for at, key in enumerate(group)
        if at != place
    ]
    first = {"gated": size, "prompt_list": size}.get(schedule, 1)
    mixed = min(size - 1, 9) if schedule in ("staggered", "wide") else int(first < size)
    batch = seen(admitted=first, share=0.9, mixed=mixed, source=source)
    alone = seen(admitted=1, share=0.0, source=source)
    row = {
        "schema_version": 3,
        "run_id": "planted",
        "record_id": record_id(tuple(candidate[k] for k in KEY), mode),
        **candidate,
        "hf_id": f"org/{model}",
        "mode": mode,
        "prompt_sha256": digest(ids[n]),
        "group": group,
        "target_index": place,
        "sampling": dict(SAMPLING),
        "score_profile": "strict",
        "extra": {},
        "status": "ok",
        "error": None,
        "solo": told("S0"),
        "batched": told("B"),
        "askings": {a: told(a) if a in askings else None for a in ("S1", "S2", "B2")},
        "companions": companions,
        "warmed": size - 1 if warm else 0,
        "witness": {
            name: None if name not in askings else batch if name[0] == "B" else alone
            for name in ("S0", "S1", "B", "B2", "S2")
        },
    }
    row["witness"] = {name: one and dict(one) for name, one in row["witness"].items()}
    restate(row)
    return row


def _start(
    run: StandIn,
    mode: str,
    model: str,
    number: int,
    lifetimes: int,
    rows: int,
    ranks: int,
    proof: bool,
    policy: str,
    backend: str,
) -> Row:
    """One start; the rows are spread over the lifetimes, the last of which has the rest."""
    order = len(run.logs)
    suffix = f".{number + 1}" if number else ""
    log = f"{backend}_{mode}_{model}{suffix}.log"
    share, began = rows // lifetimes, f"2026-11-28T00:{order:02d}:00+00:00"
    named, nonce = f"org/{model}", digest(log)[:8]
    own = {"model": named, "name": f"{model}@{nonce}", "at": began[11:19]}
    run.logs[log] = log_of(mode, ranks=ranks, **own).encode()
    queries, hits = (0.0, 0.0) if policy == "off" else (4096.0, 512.0 if policy in LASTING else 0.0)
    return {
        "started_at": began,
        "server": {
            "backend": backend,
            "model": model,
            "mode": mode,
            "hf_id": f"org/{model}",
            "served_model_name": f"{model}@{nonce}",
            "port": 18000,
            "command": [
                *("vllm", "serve", "--model", named, "--attention-backend", "FLASH_ATTN"),
                *("--served-model-name", f"{model}@{nonce}"),
            ],
            "environment": {
                "VLLM_BATCH_INVARIANT": str(int(mode == "batch_invariant")),
                "VLLM_USE_FLASHINFER_SAMPLER": "0",
            },
            "docker": {"image_id": "sha256:" + "a" * 64} if backend == "docker" else {},
        },
        "log": log,
        "log_sha256": sha256(run.logs[log]).hexdigest(),
        "ready_after_s": 21.5,
        "records": share if number < lifetimes - 1 else rows - share * (lifetimes - 1),
        "ended_at": f"2026-11-28T00:{order:02d}:50+00:00",
        **judged(run.logs[log].decode(), mode),
        "metrics": {"prefix_cache_queries": queries, "prefix_cache_hits": hits},
        "strangers": [],
        "process": {
            "started": datetime.fromisoformat(began).timestamp() - 0.7,
            "cpu_s_before": 30.0,
            "cpu_s_after": 80.0,
        },
        "worker_proof": proof_of(mode, ranks) if proof else None,
        "error": None,
    }


def _metadata(
    models: tuple[str, ...],
    candidates: list[Row],
    policy: str,
    askings: tuple[str, ...],
    proof: bool,
    backend: str,
) -> Row:
    spec = {
        "name": "planted",
        "backend": backend,
        "modes": list(MODES),
        "models": [{"name": m, "hf_id": f"org/{m}", "revision": None} for m in models],
        "server": {
            "dtype": "float16",
            "max_model_len": 2048,
            "attention_backend": "FLASH_ATTN",
            "extra_args": [],
            "env": {"VLLM_USE_FLASHINFER_SAMPLER": "0"},
        },
        "request": {**SAMPLING, "timeout_s": 60.0, "max_attempts": 4},
        "controls": {
            "prefix_caching": policy,
            "askings": list(askings),
            "worker_proof": proof,
            "iteration_log": True,
            "stagger_ms": 20,
            "warmup_requests": 1,
        },
        "expect": {"rows_per_mode": len(candidates)},
    }
    allowed = {
        "name": "server_info.vllm_env.VLLM_BATCH_INVARIANT",
        "standard": "False",
        "invariant": "True",
        "allowed": True,
        "reason": "the mode itself",
    }
    return {
        "schema_version": SIDE_SCHEMA,
        "run_id": "planted",
        "kind": "run",
        "resolved_spec": spec,
        "spec": spec,
        "command_line": [],
        "versions": {"vllm": VERSION},
        "git_commit": None,
        "host": {},
        "gpus": [],
        "device": {"kind": "cuda", "name": "a stand-in for a GPU"},
        "declared_image": None,
        "model_files": {},
        "dispatch_notes": {},
        "not_controlled": [],
        "candidates": {"sha256": {}, "rows": len(candidates)},
        "planned_records": 2 * len(candidates),
        "sessions": [{"started_at": "t", "ended_at": "t", "exit": 0}],
        "complete": True,
        "mode_parity": {model: [dict(allowed)] for model in models},
    }
