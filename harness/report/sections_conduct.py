"""What makes a run count and how it was made; what other scorers and people say of its flips."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from msgspec.structs import astuple

from harness.analyse import LabelsByProfile, Summary, Validation
from harness.findings import Status
from harness.numbers import (
    NONE,
    count_of,
    measure_text,
    percent,
    rate_text,
    score_text,
    seconds_text,
)
from harness.records import RunFiles, Start, object_in
from harness.report.document import Quote, Section, mode_words
from harness.report.sections_askings import (
    count_line,
    counted_cell,
    pairs_counted,
    tested_cell,
)
from harness.report.sections_summary import answers_table
from harness.report.wording import wording

if TYPE_CHECKING:
    from harness.people import Outcome
    from harness.score import Profiles, ProfileVerdict

MAX_QUOTED = 12
MAX_LISTED = 200
_PLACES = ("device", "gpus", "host", "git_commit", "rescored_from")
_NOT_SHOWN = frozenset({"candidates", "tasks", "schema_version", "external"})
_ADDED = {
    "--served-model-name": 1,
    "--enable-logging-iteration-details": 0,
    "--enable-prompt-tokens-details": 0,
    "--worker-extension-cls": 1,
}
"""Arguments that the harness adds by itself, and how many words follow each."""
_ADDED_VARIABLES = ("VLLM_SERVER_DEV_MODE",)

Json = Mapping[str, Any]


def validation_section(validation: Validation | None) -> Section | None:
    """Every check that makes a run countable, and what it found."""
    told = wording("run/validation")
    rows = (
        (f.check, "FAILED" if f.status is Status.FAILED else f.status.words, f.message)
        for f in (validation.findings if validation else ())
    )
    return told.section(told.table("checks", rows))


def evidence_section(files: RunFiles) -> Section | None:
    """One row a server lifetime, and the log lines and workers on which its verdict rests."""
    told = wording("run/evidence")
    rows: list[tuple[object, ...]] = []
    quotes: list[Quote] = []
    for startup in files.startups:
        model, mode = startup.model, mode_words(startup.mode)
        for number, start in enumerate(startup.starts, 1):
            strangers, gaps = "; ".join(start.strangers or ()), "; ".join(start.evidence.missing)
            why = strangers or start.failure or (gaps and f"not shown: {gaps}")
            verdict, ready = (start.verdict or "not judged", why), seconds_text(start.ready_after_s)
            rows.append((model, mode, number, ready, verdict, start.log or NONE))
            quotes += _quoted(f"{model}, {mode}, start {number}", start)
    return told.section(told.table("starts", rows), quotes=quotes)


def _quoted(caption: str, start: Start) -> Iterator[Quote]:
    """The log lines of a start, and what its workers say."""
    if lines := start.evidence.lines[:MAX_QUOTED]:
        told = tuple(f"{line.line}: {line.text}" for line in lines)
        yield f"{caption}: {start.verdict}", told
    if (proof := start.worker_proof) is not None and (said := [*proof.missing, *proof.lines]):
        yield (
            f"{caption}: {count_of(proof.ranks, 'worker')}: {proof.verdict}",
            tuple(said[:MAX_QUOTED]),
        )


def conditions_section(files: RunFiles, summary: Summary) -> Section | None:
    """Settings, versions, device, images, candidates and times, as the run recorded them."""
    told, metadata, spec = wording("run/conditions"), files.metadata, files.spec
    no_image = {"image"} if spec.get("backend") not in (None, "docker") else set()
    images, quotes = _given(files)
    facts = {
        "Device and host": {key: metadata.get(key) for key in _PLACES},
        "Versions": files.versions,
        "Images": images,
        "Settings": {k: v for k, v in spec.items() if k not in _NOT_SHOWN | no_image},
        **_servers(files),
        "Candidates": metadata.get("candidates"),
        "Dispatch": metadata.get("dispatch_notes"),
    }
    sessions = (
        [session.get(key) for key in ("started_at", "ended_at", "exit", "error")]
        for session in metadata.get("sessions") or ()
    )
    return told.section(
        *(told.table("facts", _flat(value), part=part) for part, value in facts.items()),
        told.table("sessions", sessions),
        answers_table(summary),
        quotes=quotes,
    )


def _first_servers(files: RunFiles) -> dict[str, Json]:
    """How the first start of each mode was made."""
    servers: dict[str, Json] = {}
    for startup in files.startups:
        if startup.starts and startup.starts[0].server:
            servers.setdefault(mode_words(startup.mode), startup.starts[0].server)
    return servers


def _servers(files: RunFiles) -> dict[str, Json]:
    """What no key of the run's own asks of the servers, and what the models bring along."""
    servers = _first_servers(files)
    return {
        "Added to the server's command by the harness": {
            mode: _added(server) for mode, server in servers.items()
        },
        "Left to the server": {
            mode: "; ".join(map(str, server.get("notes") or ())) for mode, server in servers.items()
        },
        "Sampling defaults of the models": {
            startup.model: defaults or "set, and not told"
            for startup in files.startups
            for start in startup.starts
            if (defaults := start.sampling_defaults) is not None
        },
    }


def _added(server: Json) -> str:
    """What no key of the run's own asks of vLLM: a closed list, alike in both modes."""
    words, names = [str(word) for word in server.get("command") or ()], server.get("environment")
    given = [
        " ".join(words[at : at + 1 + _ADDED[word]])
        for at, word in enumerate(words)
        if word in _ADDED
    ]
    given += [f"{name}={names[name]}" for name in _ADDED_VARIABLES if names and name in names]
    return ", ".join(given)


def _given(files: RunFiles) -> tuple[Json, list[Quote]]:
    """The images and the commands, of the first start of each mode."""
    images = {key: files.metadata[key] for key in ("image", "images") if files.metadata.get(key)}
    quotes: list[Quote] = []
    if command := files.metadata.get("command_line"):
        quotes.append(("Command", (" ".join(map(str, command)),)))
    for mode, server in _first_servers(files).items():
        parts = (server, object_in(server, "container"), object_in(server, "docker"))
        names = {k: v for part in parts for k, v in part.items() if "image" in k or "digest" in k}
        images |= {mode: names} if names else {}
        lines = [f"{name}={value}" for name, value in (server.get("environment") or {}).items()]
        lines += [" ".join(map(str, server["command"]))] if server.get("command") else []
        quotes += [(f"Server, {mode}", tuple(lines))] if lines else []
    return images, quotes


def _flat(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Leaves of nested objects and lists, each under its dotted name; what is empty is left out."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
        for number, item in enumerate(value, 1):
            yield from _flat(item, f"{name}[{number}]")
    elif value not in (None, "", [], ()):
        yield name, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def profiles_section(
    profiles: Profiles | None, labels: LabelsByProfile | None = None
) -> Section | None:
    """Label flips under each scorer profile, and the rows on which they disagree."""
    told, listed = wording("run/profiles"), profiles.disagreements if profiles else ()
    more = len(listed[MAX_LISTED:]) + (profiles.disagreements_left_out if profiles else 0)
    flips = (
        (mode_words(mode), f"{t.scores_differ}/{t.answers}", *astuple(t.label_flips))
        for mode, t in sorted(profiles.by_mode.items() if profiles else (), reverse=True)
    )
    rows = (
        (
            (f"{row.task_name}/{row.sample_id}", row.model),
            f"{mode_words(row.mode)}, batch {row.batch_size}",
            "paper" if row.paper.flip else "strict",
            *(_said(row.paper), _said(row.strict)),
        )
        for row in listed[:MAX_LISTED]
    )
    note = f"{more:,} more are not listed here." if more else ""
    gap = labels.missing if labels and labels.rows else None
    missing = [f"Not scored under both profiles: {gap}."] if gap else []
    return told.section(
        told.table("labels", _label_rows(labels)),
        told.table("flips", flips),
        told.table("rows", rows, more=note),
        more=missing,
    )


def _label_rows(labels: LabelsByProfile | None) -> Iterator[tuple[object, ...]]:
    """For each profile its flips under each mode, and the test between these."""
    for name, of in labels.profiles.items() if labels else ():
        for mode, found in of.study.items():
            yield name, mode.words, *map(counted_cell, (found, of.batch_effect[mode]))
        if len(of.study) > 1:
            tests = (of.paired_study, of.paired_batch_effect)
            shown = (tested_cell(test) if pairs_counted(test) else None for test in tests)
            yield name, "one against the other", *shown


def label_lines(labels: LabelsByProfile | None) -> Iterator[str]:
    """The same for a terminal, and why rows are missing."""
    for name, of in labels.profiles.items() if labels else ():
        for words, counts in (("B against S0", of.study), ("B against S1", of.batch_effect)):
            for mode, found in counts.items():
                yield f"label flips, {name:<6} {words} {mode.words:<15} {count_line(found)}"
        if len(of.study) > 1:
            p, beside = tested_cell(of.paired_study)
            yield f"label flips, {name:<6} B against S0 modes by prompt: {p}; {beside}"
    if labels and labels.missing and labels.rows:
        yield f"label flips by profile, not scored: {labels.missing}"


def _said(one: ProfileVerdict) -> tuple[str, str]:
    solo = score_text(one.solo_score, one.solo_label)
    batched = score_text(one.batch_score, one.batch_label)
    return f"{solo} → {batched}", f"{one.solo_rule}; {one.batch_rule}"


def adjudication_section(outcome: Outcome | None) -> Section | None:
    """Genuine flips with their interval, agreement, and how the controls were judged."""
    if outcome is None or not outcome.judged_items:
        return None
    told, genuine_rows = wording("run/adjudication"), list[tuple[object, ...]]()
    judged = {f"pattern {name}: ": one for name, one in outcome.by_pattern.items()}
    judged = judged or {"": outcome.genuine_flips}
    for of, genuine in judged.items():
        share = rate_text(genuine.items), genuine.doubt or ""
        genuine_rows.append((f"{of}different pairs of answers", share))
        genuine_rows += (
            (f"{of}rows, {mode_words(mode)} kernels", rate_text(rate))
            for mode, rate in genuine.rows_by_mode.items()
        )
    unresolved = {item for genuine in judged.values() for item in genuine.unresolved}
    agreement = (
        (
            (name.replace("_", " "), " and ".join(pair.raters)),
            *(pair.n, percent(pair.agreement), measure_text(pair.kappa, pair.agreement)),
            *map(measure_text, (pair.kappa_linear, pair.kappa_quadratic)),
            *map(measure_text, (measures.alpha_nominal, measures.alpha_ordinal)),
        )
        for name, measures in outcome.agreement.items()
        for pair in measures.pairs
    )
    controls = [
        (f"controls ({kind.replace('_', ' ')}): a change was seen", rate_text(control.judged_yes))
        for kind, control in outcome.controls.items()
    ]
    controls += [
        (f"{rater}, duplicates: same judgement again", f"{counts.same_change}/{counts.n}")
        for rater, counts in outcome.intra_rater.items()
    ]
    return told.section(
        told.table("genuine", genuine_rows, unresolved=len(unresolved)),
        told.table("agreement", agreement),
        told.table("controls", controls),
        items=count_of(outcome.judged_items, "item"),
        raters=count_of(len(outcome.raters), "rater"),
    )


def outcome_lines(outcome: Outcome) -> Iterator[str]:
    """Genuine flips, agreement, controls and repeatability."""
    of = count_of(outcome.items, "item")
    if not outcome.judged_items:
        yield f"no judgement yet of {of}: the sheets that were read are blank, or none was read"
        return
    yield f"{outcome.judged_items} of {of} judged by {', '.join(outcome.raters)}"
    judged = {f"pattern {name}, genuine changes": one for name, one in outcome.by_pattern.items()}
    for words, genuine in (judged or {"genuine flips": outcome.genuine_flips}).items():
        doubt = f"; {genuine.doubt}" if genuine.doubt else ""
        yield f"{words}: {rate_text(genuine.items)} of the resolved items{doubt}"
        for mode, rate in genuine.rows_by_mode.items():
            yield f"  {mode}: {rate_text(rate)} of the rows"
        if genuine.unresolved:
            yield f"  {len(genuine.unresolved)} without a majority: they need another rater"
    for name, measures in outcome.agreement.items():
        for pair in measures.pairs:
            parts = [f"kappa {measure_text(pair.kappa, pair.agreement)}"]
            weighted = (("linear", pair.kappa_linear), ("quadratic", pair.kappa_quadratic))
            parts += [f"{word} {measure_text(k)}" for word, k in weighted if k is not None]
            who, share = " and ".join(pair.raters), percent(pair.agreement)
            yield f"{name}: {who} agree on {share} of {pair.n}; {', '.join(parts)}"
        if measures.units_with_two_ratings:
            alpha, more = measure_text(measures.alpha_nominal), measures.alpha_ordinal
            ordinal = "" if more is None else f", ordinal {measure_text(more)}"
            yield f"{name}: Krippendorff's alpha {alpha}{ordinal}"
    for kind, control in outcome.controls.items():
        yield f"controls, {kind}: a change was seen in {rate_text(control.judged_yes)}"
    for rater, counts in outcome.intra_rater.items():
        same = f"same change {counts.same_change}, same labels {counts.same_labels}"
        yield f"{rater} judged {counts.n} duplicates: {same}"
