"""Checks that set a run's own files against each other: settings, servers, logs, metadata."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from harness.analyse.checked import Checked, Look, Outcome, at, check, failed, not_checked, ok
from harness.errors import UsageError
from harness.files import read_json
from harness.records import (
    CANDIDATES,
    METADATA,
    PROMPT_HASHES,
    RUN_SCHEMA,
    Asked,
    BoolArray,
    RunFiles,
    Start,
    Startup,
    fingerprint,
    group_hash,
    made_again,
    plan_seal,
    record_id,
)
from harness.refused import TO_MOVE
from harness.vllm_arguments import kept_arguments
from harness.words import MODES, BackendName, CachePolicy

OF_FILES: dict[str, Look] = {}
_IN_ENGINE = {"dtype": "dtype", "max_model_len": "max_seq_len"}
"""Settings of a server that its engine tells too; an argument of the same name overrules them."""
_ALSO: Mapping[object, str] = {"half": "float16", "float": "float32"}  # as vLLM reads --dtype


@check(OF_FILES)
def _schemas_known(run: Checked) -> Outcome:
    """Files of a newer form may say what this version does not read."""
    files = [run.files.folder / METADATA] if run.files.metadata else []
    files += [run.files.folder / startup.file for startup in run.files.startups]
    told = {file.name: read_json(file).get("schema_version") for file in files}
    bad = [f"{name}: {v}" for name, v in told.items() if v is not None and v not in RUN_SCHEMA]
    bad += [f"line {line}" for line in run.records.checks.newer]
    if bad:
        return failed("written in a form that this version does not know: ", bad)
    return ok("every file is of a form that is known") if told else not_checked("records alone")


@check(OF_FILES)
def _plan_as_recorded(run: Checked) -> Outcome:
    """The plan is the selected candidates, each once a mode, under the settings it was made for."""
    metadata, selected = run.files.metadata, run.files.candidates
    if not run.files.made_by_the_harness or selected is None:
        return not_checked("no plan is recorded")
    bad, altered = list[str](), _files_altered(run, CANDIDATES)
    planned, modes = metadata.get("planned_records"), run.files.spec.get("modes") or ()
    if modes and planned is not None and planned != len(selected) * len(modes):
        bad.append(f"planned_records is {planned}, and {len(selected)} candidates were selected")
    rows = (metadata.get("candidates") or {}).get("rows")
    if rows is not None and rows != len(selected):
        bad.append(f"candidates.rows is {rows}, and {len(selected)} were selected")
    seal = metadata.get("plan_sha256")
    if seal is not None and seal != plan_seal(metadata):
        bad.append("settings, weights, candidates or plan are not those that plan_sha256 is of")
    if seal is None and run.records.checks.sealed:
        bad.append("plan_sha256 is missing, which every run of this form has: it was taken out")
    if bad:
        what = "metadata.json contradicts itself or the selected candidates: "
        return failed(what, [*altered, *bad])
    sealed = "" if seal else "; it has no plan_sha256, for it is of an older form"
    return ok(f"{planned} records, of {len(selected)} candidates{sealed}")


@check(OF_FILES)
def _plan_made_again(run: Checked) -> Outcome:
    """Settings, weights, candidates and prompts give the plan, and the records are of that plan."""
    told = run.files.metadata.get("fingerprint")
    planned = run.files.made_by_the_harness and run.files.spec
    if not planned or run.files.candidates is None:
        return not_checked("the records came without a plan of ours: nobody knows what was planned")
    try:
        found = plan_again(run.files)
    except UsageError as error:
        first = f", and {error.hint}" if error.hint in TO_MOVE.values() else ""
        places = [f"{PROMPT_HASHES}: {error.message}{first}"]
        return failed("the plan cannot be made again: ", places)
    if found is None:
        return not_checked(
            f"there is no {PROMPT_HASHES}: whether the records are of their plan is not known; "
            f"the same `harness run` with --run-id {run.files.run_id} writes it, and asks only "
            "what is missing"
        )
    again, asked = found
    if again != told:
        altered = _files_altered(run, f"{PROMPT_HASHES} or {CANDIDATES}")
        what = (
            "settings, weights, candidates and prompts do not give the fingerprint of "
            f"metadata.json: {_short(told)} there, {again} made again"
        )
        return failed(f"{what}: " if altered else what, altered)
    if bad := run.lines(_unplanned(run, asked)):
        return failed("asked otherwise than planned (prompt, batch or place in it): ", at(bad))
    return ok(f"settings, weights, candidates and prompts give the plan of {len(asked)} records")


def _files_altered(run: Checked, which: str) -> list[str]:
    """That a file of the plan is not what was written; nothing where it may be metadata.json.

    The same command writes such a file anew.
    """
    sealed = run.files.metadata.get("plan_sha256")
    whole = sealed is not None and sealed == plan_seal(run.files.metadata)
    return [f"{which} was changed"] if whole else []


def plan_again(files: RunFiles) -> tuple[str, list[Asked]] | None:
    """The fingerprint and the records of a run's plan; ``None`` where its prompts are not told.

    Raises:
        UsageError: its files contradict each other, or one is damaged.
    """
    prompts, spec = files.prompts(), files.spec
    if prompts is None:
        return None
    models = [model["name"] for model in spec.get("models") or ()]
    asked = made_again(models, spec.get("modes") or (), files.candidates or (), prompts)
    weights = _mapping(files.metadata.get("model_files"))
    return fingerprint(spec, weights, ((one.record_id, one.hashes) for one in asked)), asked


def _unplanned(run: Checked, asked: Sequence[Asked]) -> BoolArray:
    """Which records are of another prompt, batch or place than their candidate's in the plan.

    Other checks name a candidate that was not selected, a record that contradicts itself, and one
    that contradicts the other mode's.
    """
    planned = {one.record_id: one for one in asked}
    keys, prompts = run.records.keys, run.records.frame["prompt"].astype(object).tolist()
    columns = [run.records.column(name).tolist() for name in ("key", "mode", "group")]
    bad = np.zeros(len(run.records), dtype=bool)
    for row, (key, mode, group, prompt) in enumerate(zip(*columns, prompts, strict=True)):
        one = planned.get(record_id(keys[key], MODES[mode]))
        if one is not None:
            batches = [group_hash(text, one.target_index) for text in _as_written(one.keys)]
            bad[row] = group not in batches or prompt != one.hashes[one.target_index]
    misplaced = [line for line, _ in run.records.checks.batches.misplaced]
    bad &= ~np.isin(run.records.column("line"), misplaced)
    pairs = [run.pairing.slots[mode][run.pairing.complete(run.records)] for mode in MODES]
    for name in ("group", "prompt"):
        unlike = run.records.column(name)[pairs[0]] != run.records.column(name)[pairs[1]]
        bad[np.concatenate([slot[unlike] for slot in pairs])] = False
    return bad


def _as_written(keys: Sequence[str]) -> list[bytes]:
    """A list of keys as a line may hold it, with blanks and without."""
    return [json.dumps(keys, separators=how).encode() for how in ((", ", ": "), (",", ":"))]


@check(OF_FILES)
def _facts_as_logged(run: Checked) -> Outcome:
    """A start-up file tells of its server what the server's log tells."""
    bad, read = [], 0
    for name, _, start in _starts(run):
        logged = run.facts_of(start)
        if logged is not None and not start.facts and run.files.made_by_the_harness:
            bad.append(f"{name}: facts are missing")
        if start.facts and logged is not None:
            read += 1
            known = json.loads(json.dumps(asdict(logged), default=str))
            bad += [
                f"{name}: {key} is {_short(told)}, and in the log {_short(known[key])}"
                for key, told in start.facts.items()
                if key in known and json.loads(json.dumps(told, default=str)) != known[key]
            ]
        bad += [f"{name}: {why}" for why in _against_info(start)]
    if bad:
        return failed("start-up files that contradict their logs: ", bad)
    if not read:
        return not_checked("no log lies beside a start-up file that tells a server's facts")
    return ok(f"{read} start-up files tell what their logs tell")


@check(OF_FILES)
def _settings_as_served(run: Checked) -> Outcome:
    """The servers were those that the settings and metadata.json name."""
    starts = list(_starts(run))
    if not run.files.spec or not starts:
        return not_checked("settings or start-up files are not there")
    bad = [f"{name}: {why}" for name, of, one in starts for why in _otherwise(run, of, one)]
    device, gpus = (
        run.files.device_name,
        [g.get("name") for g in run.files.metadata.get("gpus") or ()],
    )
    if run.files.made_by_the_harness and run.files.device_kind is None and run.device_kinds:
        bad.append(f"no device in metadata.json, {', '.join(sorted(run.device_kinds))} as served")
    if run.files.device_kind == "cuda" and gpus and device not in (None, *gpus):
        bad.append(f"device {device}, and the machine had {', '.join(map(str, gpus))}")
    if bad:
        return failed("settings or metadata.json name another server: ", bad)
    return ok(f"{len(starts)} server lifetimes are of the backend, device, release and settings")


def _starts(run: Checked) -> Iterator[tuple[str, Startup, Start]]:
    for startup in run.files.startups:
        for number, start in startup.answering():
            yield f"{startup.file}: start {number}", startup, start


def _otherwise(run: Checked, of: Startup, start: Start) -> Iterator[str]:
    """What a start's own files tell otherwise than the run's settings."""
    spec, metadata = run.files.spec, run.files.metadata
    read = run.facts_of(start)
    facts = asdict(read) if read is not None else dict(start.facts)
    engine, evidence = _mapping(facts.get("engine")), start.evidence
    weights = {m["name"]: m.get("hf_id") for m in spec.get("models") or ()}
    builds = {build for startup in run.files.startups for build in startup.builds()}
    # servers of several releases are the concern of `one_server_build`
    release = (metadata.get("versions") or {}).get("vllm") if len(builds) < 2 else None
    served = start.server
    pairs: list[tuple[str, Any, Any]] = [
        ("backend", spec.get("backend"), served.get("backend")),
        ("device", run.files.device_kind, run.device_of(start)),
        ("vLLM", _plain(release), _plain(evidence.vllm_version or facts.get("vllm_version"))),
        ("mode", of.mode, served.get("mode")),
        ("model", of.model, served.get("model")),
        ("weights", weights.get(of.model), served.get("hf_id")),
        ("image", *map(_image_id, (metadata.get("image"), served.get("docker")))),
        ("prefix caching", _caching(spec), engine.get("enable_prefix_caching")),
    ]
    yield from _not_given(spec, served)
    there = _mapping((start.server_info or {}).get("system_env")).get("nvidia_gpu_models")
    name = run.files.device_name
    if run.files.device_kind == "cuda" and name and there and name not in str(there):
        yield f"device {name} in metadata.json, {_short(there)} by the server's own account"
    server = spec.get("server") or {}
    for name in ("tensor_parallel", "pipeline_parallel"):
        if (size := server.get(name, 1)) != 1:
            pairs.append((name, size, engine.get(f"{name}_size")))
    given = kept_arguments(spec)
    ours = spec.get("backend") != BackendName.EXTERNAL and "config" not in given
    for name, its in _IN_ENGINE.items() if ours else ():
        wanted, told = server.get(name), engine.get(its)
        if name not in given and wanted != "auto" and told is not None:
            pairs.append((name, _ALSO.get(wanted, wanted), str(told).removeprefix("torch.")))
    for name, wanted, told in pairs:
        if wanted is not None and told is not None and str(wanted) != str(told):
            yield f"{name} {_short(wanted)} in the settings, {_short(told)} as served"


def _not_given(spec: Mapping[str, Any], served: Mapping[str, Any]) -> Iterator[str]:
    """Settings that the command or the environment of a server of ours does not hold."""
    command, server = served.get("command"), _mapping(spec.get("server"))
    if spec.get("backend") != BackendName.NATIVE or not isinstance(command, list):
        return
    words = [*map(str, command)]
    wanted = list(map(str, server.get("extra_args") or ()))
    if (backend := server.get("attention_backend")) is not None:
        wanted += ["--attention-backend", str(backend)]
    if missing := Counter(wanted) - Counter(words):
        yield f"{' '.join(missing)} in the settings, and not in the command"
    given = _mapping(served.get("environment"))
    for name, value in _mapping(server.get("env")).items():
        if str(given.get(name)) != str(value):
            yield f"{name} {_short(value)} in the settings, {_short(given.get(name))} as served"


def _image_id(told: object) -> Any:
    return _mapping(told).get("image_id")


def _caching(spec: Mapping[str, Any]) -> bool | None:
    """Whether our own server was to have a cache, where the settings say that it was not."""
    off = (spec.get("controls") or {}).get("prefix_caching") == CachePolicy.OFF
    return False if off and spec.get("backend") != BackendName.EXTERNAL else None


def _plain(release: object) -> str | None:
    """A release without its local part: a log tells it and a package may not."""
    return str(release).partition("+")[0] if release else None


def _against_info(start: Start) -> Iterator[str]:
    """What ``/server_info`` said otherwise than the facts."""
    config = _mapping((start.server_info or {}).get("vllm_config"))
    engine = _mapping(start.facts.get("engine"))
    for part, key, name in (
        ("model_config", "dtype", "dtype"),
        ("model_config", "max_model_len", "max_seq_len"),
        ("cache_config", "enable_prefix_caching", "enable_prefix_caching"),
    ):
        said = _mapping(config.get(part)).get(key)
        if said is not None and name in engine and str(said) != str(engine[name]):
            yield f"/server_info said {key} {_short(said)}, its facts say {_short(engine[name])}"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _short(value: object) -> str:
    return str(value)[:80]
