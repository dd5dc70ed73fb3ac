"""The tables of a comparison of two runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.compare import Comparison, ModeComparison, StackDifference, discordant_text, noise_text
from harness.report.comparison.model import Flow, FlowPart
from harness.report.model import Cell, Column, Kind, Measure, Section, Table
from harness.report.numbers import interval_text, p_text, percent, rate_text

__all__ = [
    "flows",
    "measures",
    "run_sections",
]

NUMBER = Kind.NUMBER
_ANSWERS = (("solo", "Alone, no batch"), ("batched", "In its batch"))
_EFFECTS = (("label_flips", "Label flips"), ("text_changes", "Text changes"))
_FAMILIES = {
    "model": "Model",
    "task_name": "Task",
    "batch_size": "Batch size",
    "dispatch_mode": "Dispatch mode",
}
_PARTS = {
    "versions": "Versions of the server",
    "image": "Image",
    "device": "Device",
    "settings": "Settings of the run",
    "server": "What the servers were given and logged",
    "harness": "The harness itself",
}


def _share(rate: Mapping[str, Any]) -> str:
    return f"{percent(rate['rate'])} {interval_text(rate['wilson95'])}".strip()


def _count(rate: Mapping[str, Any]) -> str:
    return f"{rate['count']}/{rate['n']}"


def measures(comparison: Comparison) -> tuple[Measure, ...]:
    """For each mode: what changed alone, and the flips of either side."""
    found = []
    for mode in comparison.modes:
        alone, flips = mode.answers["solo"], mode.flips["label_flips"]
        found.append(
            Measure(
                f"{mode.title}: changed alone, no batch",
                tuple(
                    (name, _count(rate), _share(rate))
                    for name, rate in (
                        ("answers", alone["text_changes"]),
                        ("labels", alone["label_changes"]),
                    )
                ),
                noise_text(mode),
            )
        )
        moved = f"{flips['appeared']} new, {flips['vanished']} gone, {flips['stayed']} stayed"
        found.append(
            Measure(
                f"{mode.title}: label flips",
                tuple((side.upper(), _count(flips[side]), _share(flips[side])) for side in "ab"),
                f"{moved}; {discordant_text(flips['paired'])}",
            )
        )
    return tuple(found)


def flows(comparison: Comparison) -> tuple[Flow, ...]:
    """One drawing a mode and question: one square a candidate."""
    found = []
    for mode in comparison.modes:
        flips, alone = mode.flips["label_flips"], mode.answers["solo"]
        labels = alone["label_changes"]["count"]
        texts = alone["text_changes"]["count"]
        found.append(
            Flow(
                f"{mode.title}: label flips",
                (
                    FlowPart(flips["stayed"], "both", "flip in A and B"),
                    FlowPart(flips["vanished"], "standard", "only in A (gone)"),
                    FlowPart(flips["appeared"], "invariant", "only in B (new)"),
                    FlowPart(flips["paired"]["neither"], "neither", "in neither"),
                ),
            )
        )
        found.append(
            Flow(
                f"{mode.title}: answered alone, no batch",
                (
                    FlowPart(labels, "invariant", "another label"),
                    FlowPart(max(0, texts - labels), "text-only", "another text, same label"),
                    FlowPart(mode.n - max(texts, labels), "neither", "the same text"),
                ),
            )
        )
    return tuple(found)


def run_sections(comparison: Comparison) -> tuple[Section, ...]:
    """Changed answers, flips, the stacks, breakdowns, and what was not compared."""
    parts = (
        _answers_section(comparison.modes),
        _effects_section(comparison.modes),
        _stack_section(comparison),
        _breakdown_section(comparison.modes),
        _open_section(comparison),
    )
    return tuple(section for section in parts if section is not None)


def _answers_section(modes: Sequence[ModeComparison]) -> Section:
    columns = (
        Column("Answers"),
        Column("Texts changed", NUMBER),
        Column("Labels changed", NUMBER),
        Column("Scores up", NUMBER),
        Column("Scores down", NUMBER),
        Column("Up against down, exact p", NUMBER),
    )
    tables = []
    for mode in modes:
        rows = tuple(
            (
                Cell(words),
                Cell(rate_text(mode.answers[name]["text_changes"])),
                Cell(rate_text(mode.answers[name]["label_changes"])),
                Cell(str(mode.answers[name]["up"])),
                Cell(str(mode.answers[name]["down"])),
                Cell(p_text(mode.answers[name]["p_symmetry"])),
            )
            for name, words in _ANSWERS
        )
        tables.append(Table(mode.title, columns, rows, _counted(mode)))
    prose = (
        "A's answer against B's answer to the same prompt. A change alone, without any batch, is "
        "the stack's doing and not the batch's: kernels, versions, settings or chance. What asking "
        "again within one run changed is the yardstick for chance.",
    )
    return Section("answers", "Answers of A against B", prose, tuple(tables))


def _counted(mode: ModeComparison) -> str:
    prompts = mode.prompts["solo_text_changes"]
    noise = noise_text(mode)
    failed = mode.candidates - mode.n
    left_out = f" {failed} candidates failed on a side and are not counted." if failed else ""
    return (
        f"By prompt, each once: {rate_text(prompts)} changed alone.{left_out} "
        f"{noise[0].upper()}{noise[1:]}."
    )


def _effects_section(modes: Sequence[ModeComparison]) -> Section:
    columns = (
        Column("Effect"),
        Column("A", NUMBER),
        Column("B", NUMBER),
        Column("New in B", NUMBER),
        Column("Gone in B", NUMBER),
        Column("Stayed", NUMBER),
        Column("A against B, paired", NUMBER),
    )
    tables = []
    for mode in modes:
        rows = tuple(
            (
                Cell(words),
                Cell(rate_text(mode.flips[name]["a"])),
                Cell(rate_text(mode.flips[name]["b"])),
                *(Cell(str(mode.flips[name][k])) for k in ("appeared", "vanished", "stayed")),
                _test(mode.flips[name]["paired"]),
            )
            for name, words in _EFFECTS
        )
        tables.append(Table(mode.title, columns, rows))
    prose = (
        "Within each run, solo against batched: a label flip has another score, a text change "
        "another hash. The exact McNemar test sets the candidates that changed only in A (b) "
        "against those that changed only in B (c). Brackets hold the Wilson 95% interval, in per "
        "cent.",
    )
    return Section("effects", "Effect of the batch in A and in B", prose, tuple(tables), "flows")


def _test(paired: Mapping[str, Any]) -> Cell:
    text = f"b={paired['a_only']} c={paired['b_only']} p={p_text(paired['p_two_sided'])}"
    return Cell(text, paired["note"] or "")


def _stack_section(comparison: Comparison) -> Section:
    tables = []
    for part, caption in _PARTS.items():
        found = [d for d in comparison.stack if d.part == part]
        if found:
            tables.append(_stack_table(caption, found))
    prose = (
        "As the runs' own files say: metadata.json, and what each server was given and logged. "
        "Ports, time limits and paths of the run's files are left out."
        if tables
        else "The files of the two runs record no difference of stack or settings.",
    )
    return Section("stack", "What differs between the stacks", prose, tuple(tables))


def _stack_table(caption: str, found: Sequence[StackDifference]) -> Table:
    columns = [Column("What", Kind.ID), Column("A"), Column("B")]
    rows = [(Cell(d.name), Cell(d.a), Cell(d.b)) for d in found]
    if not any(d.where for d in found):
        return Table(caption, tuple(columns), tuple(rows))
    where = [Cell(d.where or "all") for d in found]
    held = tuple((*row, servers) for row, servers in zip(rows, where, strict=True))
    return Table(caption, (*columns, Column("Servers")), held)


def _breakdown_section(modes: Sequence[ModeComparison]) -> Section | None:
    tables = [
        _breakdown(f"{mode.title}, by {words.lower()}", words, mode.breakdowns[family])
        for mode in modes
        for family, words in _FAMILIES.items()
        if len(mode.breakdowns[family]) > 1
    ]
    if not tables:
        return None
    prose = ("Counts only; the slices are exploratory.",)
    return Section("breakdowns", "Where it changed", prose, tuple(tables))


def _breakdown(caption: str, words: str, entries: Sequence[Mapping[str, Any]]) -> Table:
    heads = ("Rows", "Flips A → B", "New", "Gone", "Alone: texts", "labels", "Batched: texts")
    columns = (
        Column(words, Kind.ID),
        *(Column(head, NUMBER) for head in (*heads, "labels")),
    )
    rows = tuple(
        (
            Cell(str(entry["value"])),
            Cell(str(entry["n"])),
            Cell(f"{entry['flips_a']} → {entry['flips_b']}"),
            *(
                Cell(str(entry[name]))
                for name in (
                    "appeared",
                    "vanished",
                    "solo_text_changes",
                    "solo_label_changes",
                    "batched_text_changes",
                    "batched_label_changes",
                )
            ),
        )
        for entry in entries
    )
    return Table(caption, columns, rows)


def _open_section(comparison: Comparison) -> Section | None:
    unproven = dict.fromkeys((*comparison.a.unproven, *comparison.b.unproven))
    rows = tuple(
        (Cell(kind), Cell(text))
        for kind, texts in (
            ("not proven", unproven),
            ("not checked", comparison.not_checked),
            ("left out", comparison.left_out),
        )
        for text in texts
    )
    if not rows:
        return None
    table = Table("Reservations", (Column("Kind"), Column("What")), rows)
    return Section("open", "What this comparison does not show", tables=(table,))
