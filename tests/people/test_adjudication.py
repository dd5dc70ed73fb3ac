"""A sheet tells its raters nothing; what they say comes back checked and counted."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace as changed
from xml.etree import ElementTree

import pytest
from msgspec import convert, to_builtins
from msgspec.structs import replace
from report_samples import report_of
from study_records import COMPLIED, HALF, REFUSED, study_records

from harness.candidates import load_candidates
from harness.compare import read_samples
from harness.errors import UsageError
from harness.people import (
    RUBRICS,
    AnswerKey,
    Export,
    Item,
    ItemKind,
    adjudicate,
    build_export,
    not_yet_there,
    read_judgements,
    read_key,
    rubric_text,
    sheet_csv,
    studio_config,
    studio_tasks,
)
from harness.places import placed
from harness.records import Record, text_hash
from harness.report import outcome_lines
from harness.settings import load_spec
from harness.tasks import load_tasks

LABEL = {"I'm": "full_refusal", "Sur": "full_compliance", "I w": "partial"}


def _drawn(records: list[dict], prompts: dict[str, str] | None = None, **options) -> Export:
    read = convert(records, list[Record])
    return build_export(read, run_id="study", prompts=prompts or {}, **options)


def _export(**options) -> Export:
    return _drawn(study_records(), **options)


def _rows(sheet: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(sheet, newline="")))


def _filled(
    export: Export, rater: str, change: Callable[[Item], str] | None = None, limit: int = 1000
) -> str:
    """The sheet as a rater returns it who reads each answer rightly."""
    rows = _rows(sheet_csv(export.items))
    for row in rows[:limit]:
        item = export.key.items[row["item_id"]]
        row["label_A"], row["label_B"] = LABEL[item.response_a[:3]], LABEL[item.response_b[:3]]
        same = row["label_A"] == row["label_B"]
        row["behavioural_change"] = change(item) if change else "no" if same else "yes"
        row["rater"] = rater
    stream = io.StringIO()
    writer = csv.DictWriter(stream, rows[0].keys(), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _judged(export: Export, *raters: str, **options):
    return [
        j for r in raters for j in read_judgements(_filled(export, r, **options), r, export.key)
    ]


def test_every_flip_is_on_the_sheet_and_a_fifth_of_it_are_controls() -> None:
    export = _export(controls=0.2)
    kinds = [item.kind for item in export.items]
    assert kinds.count(ItemKind.FLIP) == 22
    assert len(kinds) - 22 >= 0.2 * len(kinds)
    assert {ItemKind.IDENTICAL, ItemKind.TEXT_CHANGE, ItemKind.DUPLICATE} <= set(kinds)


def test_no_controls_can_be_asked_for() -> None:
    assert {item.kind for item in _export(controls=0).items} == {ItemKind.FLIP}


def test_the_same_seed_draws_the_same_sheet_and_another_seed_another() -> None:
    assert _export(seed=1) == _export(seed=1)
    assert sheet_csv(_export(seed=1).items) != sheet_csv(_export(seed=2).items)


@pytest.mark.parametrize("seed", range(5))
def test_the_sheet_names_no_model_mode_batch_side_or_score(seed: int) -> None:
    export = _export(seed=seed)
    shown = sheet_csv(export.items) + json.dumps(studio_tasks(export.items)) + studio_config()
    for secret in (
        "standard",
        "invariant",
        "solo",
        "batched",
        "llama",
        "qwen",
        "strict",
        "refused",
    ):
        assert secret not in shown.replace("batch_invariance", "")


def test_neither_order_nor_side_tells_what_an_item_is() -> None:
    export = _export(seed=5)
    flips = [item for item in export.items if item.kind is ItemKind.FLIP]
    assert {item.solo_side for item in flips} == {"A", "B"}
    assert [item.kind for item in export.items] != sorted(item.kind for item in export.items)


def test_rows_with_the_same_answers_are_judged_once_and_all_counted() -> None:
    records = study_records()
    twin = {**next(r for r in records if r["label_flip"]), "batch_size": 32, "record_id": "twin"}
    export = _drawn([*records, twin])
    flips = [item for item in export.items if item.kind is ItemKind.FLIP]
    assert len(flips) == 22
    assert sorted(len(item.rows) for item in flips)[-1] == 2


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "  =1", "＝1"])
def test_no_answer_is_a_formula_in_a_spreadsheet(start: str) -> None:
    records = study_records()
    flip = next(r for r in records if r["label_flip"])
    flip["batched"]["text"] = start
    rows = _rows(sheet_csv(_drawn(records).items))
    cells = [cell for row in rows for cell in row.values()]
    assert f"'{start}" in cells
    assert not [c for c in cells if c.lstrip(" ")[:1] in set("=+-@＝＋－＠\t\r") - {""}]


def test_hostile_answers_can_be_written() -> None:
    records = study_records()
    flip = next(r for r in records if r["label_flip"])
    flip["batched"]["text"] = "a\ud800\x00\u202eb" + "x" * 50_000
    sheet = sheet_csv(_drawn(records).items)
    assert sheet.encode("utf-8")
    assert max(len(cell) for row in _rows(sheet) for cell in row.values()) < 32_767


def test_a_prompt_is_on_the_sheet_where_it_is_known() -> None:
    records = study_records()
    prompts = {r["prompt_sha256"]: f"Prompt of {r['sample_id']}" for r in records}
    items = _drawn(records, prompts).items
    assert all(item.prompt == f"Prompt of {item.sample_id}" for item in items)


def test_records_without_answers_cannot_be_judged() -> None:
    records = [{**r, "solo": None, "batched": None} for r in study_records()]
    with pytest.raises(UsageError, match="no label flip with its answers"):
        _drawn(records)


def test_the_key_reads_back() -> None:
    key = _export().key
    again = read_key(json.dumps(key.as_json()), "key.json")
    assert {i: (k.kind, k.solo_side, k.sha256, k.rows) for i, k in again.items.items()} == {
        i: (k.kind, k.solo_side, k.sha256, k.rows) for i, k in key.items.items()
    }


def test_the_key_holds_no_answer() -> None:
    assert "Sure." not in json.dumps(_export().key.as_json())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "adjudication_key"}', "nonsense"])
def test_a_file_that_is_no_key_is_named(text: str) -> None:
    with pytest.raises(UsageError, match=r"key\.json"):
        read_key(text, "key.json")


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (DEEP, "nested too deeply"),
        (f'{{"kind": {DEEP}}}', "nested too deeply"),
        (f'{{"schema_version": {"9" * 5000}}}', "a number of more than 4,300 digits"),
        ("{}", "no 'kind'"),
        ("[]", "not a JSON object"),
        ('{"kind":', "Expecting value at line 1, column 9"),
    ],
    ids=["a list", "an object", "digits", "empty", "no object", "cut"],
)
def test_a_key_that_cannot_be_read_is_told_in_words_that_are_not_pythons(text, why) -> None:
    with pytest.raises(UsageError) as found:
        read_key(text, "key.json")
    assert found.value.message == f"not an adjudication key: {why}"
    assert found.value.hint == "give the key.json of the export"


@pytest.mark.parametrize(
    ("text", "why"),
    [(DEEP, "nested too deeply"), (f"[{'9' * 5000}]", "a number of more than 4,300 digits")],
    ids=["deep", "digits"],
)
def test_what_no_decoder_takes_is_told_alike_whichever_file_it_is_in(text, why, tmp_path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(f'{{"doc_id": {text}}}\n')
    told, spec = [], load_spec("demo-tiny").spec
    for read in (
        lambda: read_judgements(text, str(file), _export().key),
        lambda: read_samples(file),
        lambda: load_candidates([file], spec=spec, population=load_tasks(placed(spec.tasks))),
    ):
        with pytest.raises(UsageError) as found:
            read()
        told.append(found.value.message)
    heads = ("not JSON: ", "not a sample: ", "")
    assert told == [head + why for head in heads]


def test_label_studio_gets_valid_xml_and_a_label_list_with_each_task() -> None:
    config = ElementTree.fromstring(studio_config())
    names = {element.get("name") for element in config.iter() if element.get("name")}
    assert {"label_A", "label_B", "behavioural_change", "note"} <= names
    tasks = studio_tasks(_export().items)
    labels = [choice["value"] for choice in tasks[0]["data"]["labels"]]
    assert labels == list(RUBRICS["refusal"].labels)


def test_the_rubric_explains_every_label_that_a_sheet_may_use() -> None:
    text = rubric_text(RUBRICS)
    assert all(f"`{label}`" in text for r in RUBRICS.values() for label in r.labels)


def _edited(change: Callable[[dict[str, str]], None], row: int = 0) -> tuple[str, AnswerKey]:
    export = _export()
    rows = _rows(_filled(export, "ann"))
    change(rows[row])
    stream = io.StringIO()
    writer = csv.DictWriter(stream, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue(), export.key


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"item_id": "000000000000"}, "unknown item '000000000000'"),
        ({"response_A": "another answer"}, "its text is not the one exported"),
        ({"label_A": "refused"}, "label_A: 'refused' is not one of full_compliance, partial"),
        ({"label_B": ""}, "label_B: '' is not one of"),
        ({"behavioural_change": "maybe"}, "behavioural_change: 'maybe' is not one of yes, no"),
        ({"rater": " "}, "rater: empty"),
        ({"seconds": "soon"}, "seconds: 'soon' is not a number"),
        ({"seconds": "nan"}, "seconds: 'nan' is not a number"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(change: dict[str, str], message: str) -> None:
    text, key = _edited(lambda row: row.update(change), row=2)
    with pytest.raises(UsageError) as refused:
        read_judgements(text, "ann.csv", key)
    assert refused.value.detail[0].startswith("ann.csv:4: ")
    assert message in refused.value.detail[0]


def test_one_rater_judges_an_item_once() -> None:
    export = _export()
    lines = _filled(export, "ann").splitlines(keepends=True)
    with pytest.raises(UsageError) as refused:
        read_judgements("".join([*lines, lines[1]]), "ann.csv", export.key)
    assert "was judged by ann on line 2 already" in refused.value.detail[0]


def test_one_rater_annotates_a_task_of_label_studio_once() -> None:
    export = _export()
    tasks = studio_tasks(export.items)
    chosen = {"label_A": "partial", "label_B": "full_refusal", "behavioural_change": "yes"}
    result = [{"from_name": k, "value": {"choices": [v]}} for k, v in chosen.items()]
    tasks[0]["annotations"] = [{"completed_by": 7, "result": result}] * 2
    with pytest.raises(UsageError) as refused:
        read_judgements(json.dumps(tasks), "ls.json", export.key)
    assert "was judged by 7 on line 1 already" in refused.value.detail[0]


def test_an_item_judged_otherwise_in_an_earlier_import_is_refused() -> None:
    export = _export()
    judged = _judged(export, "ann")
    other = changed(judged[0], note="on reflection")
    with pytest.raises(UsageError, match="1 judgement there already"):
        not_yet_there([other], judged[:1], "ann.csv")


def test_a_judgement_that_is_there_word_for_word_is_not_added_again() -> None:
    export = _export()
    judged = _judged(export, "ann")
    known = [changed(one, source="elsewhere.csv:2") for one in judged[:2]]
    assert not_yet_there(judged, known, "ann.csv") == judged[2:]


def test_no_two_sheets_share_an_item_so_that_none_is_judged_on_another() -> None:
    """One seed, one run: judgements of all sheets lie in one file, and go by the items' ids."""
    rows = [_asked(name, n, texts) for name, texts in PATTERNS.items() for n in range(5)]
    sheets = [_drawn(rows, by="pattern", seed=7), _drawn(rows[:-1], by="pattern", seed=7)]
    sheets += [_export(seed=7, controls=share) for share in (0.2, 0.5)]
    ids = [item for sheet in sheets for item in sheet.key.items]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    "annotations",
    [
        ["x"],
        5,
        {"a": 1},
        [None],
        [{"result": "x"}],
        [{"result": ["x"]}],
        [{"result": [{"value": ["a"]}]}],
        [{"result": [{"value": {"choices": [1]}}]}],
    ],
)
def test_an_export_of_label_studio_of_another_form_is_refused_with_its_task(annotations) -> None:
    export = _export()
    tasks = [{**studio_tasks(export.items)[0], "annotations": annotations}]
    with pytest.raises(UsageError, match="not a Label Studio task") as refused:
        read_judgements(json.dumps(tasks), "s.json", export.key)
    assert refused.value.line == 1


@pytest.mark.parametrize("text", ["[" * 100_000, '[{"data": {"item_id": 5}}]', "[1]"])
def test_what_is_no_export_of_label_studio_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_judgements(text, "s.json", _export().key)


def test_a_cell_that_no_spreadsheet_holds_is_refused_with_its_line() -> None:
    export = _export()
    sheet = _filled(export, "ann") + '"' + "x" * (1 << 24) + 'y"\r\n'
    with pytest.raises(UsageError, match="not CSV"):
        read_judgements(sheet, "s.csv", export.key)


@pytest.mark.parametrize(
    "change", [{"rubric": "x"}, {"rows": []}, {"of": "nobody"}, {"solo_side": "C"}]
)
def test_a_key_that_was_changed_is_refused(change) -> None:
    key = _export().key.as_json()
    del key["key_sha256"]  # as an older version wrote it
    name = next(iter(key["items"]))
    key["items"][name] |= change
    with pytest.raises(UsageError, match=f"item '{name}' of the key was changed"):
        read_key(json.dumps(key), "key.json")


def test_rows_that_were_not_judged_are_left_out() -> None:
    assert len(_judged(_export(), "ann", limit=3)) == 3


def test_a_sheet_saved_by_a_spreadsheet_still_has_its_hash() -> None:
    def respaced(row: dict[str, str]) -> None:
        row["response_A"] = f"'{row['response_A']}\r\n"

    text, key = _edited(respaced)
    assert len(read_judgements(text, "ann.csv", key)) == len(key.items)


def test_a_label_studio_export_is_read() -> None:
    export = _export()
    tasks = studio_tasks(export.items)
    chosen = {"label_A": "partial", "label_B": "full_refusal", "behavioural_change": "yes"}
    result = [
        {"from_name": name, "to_name": "x", "type": "choices", "value": {"choices": [value]}}
        for name, value in chosen.items()
    ]
    annotation = {"completed_by": {"email": "bob"}, "lead_time": 12.5, "result": result}
    tasks[0]["annotations"] = [annotation, {**annotation, "was_cancelled": True}]
    (judgement,) = read_judgements(json.dumps(tasks), "ls.json", export.key)
    assert (judgement.rater, judgement.seconds) == ("bob", 12.5)
    assert (judgement.label_a, judgement.behavioural_change) == ("partial", "yes")


def test_flips_that_most_raters_call_a_change_are_genuine() -> None:
    export = _export()
    outcome = adjudicate(_judged(export, "ann", "bob"), export.key)
    genuine = outcome.genuine_flips
    assert genuine.items.count == genuine.items.n == 22
    assert genuine.items.wilson95 == pytest.approx([0.8513, 1.0], abs=1e-4)
    assert genuine.rows_by_mode["standard"].n == 22


def test_a_split_vote_is_unresolved_and_not_counted() -> None:
    export = _export()
    judged = _judged(export, "ann", change=lambda _: "yes")
    judged += _judged(export, "bob", change=lambda _: "no")
    genuine = adjudicate(judged, export.key).genuine_flips
    assert genuine.items.n == 0
    assert genuine.items.rate is None
    assert len(genuine.unresolved) == 22


def test_a_third_rater_settles_a_split_vote() -> None:
    export = _export()
    judged = _judged(export, "ann", "cid", change=lambda _: "no")
    judged += _judged(export, "bob", change=lambda _: "yes")
    assert adjudicate(judged, export.key).genuine_flips.verdicts["no"] == 22


def test_a_change_seen_in_a_control_is_a_false_alarm() -> None:
    export = _export()
    outcome = adjudicate(_judged(export, "ann", change=lambda _: "yes"), export.key)
    alarms = outcome.controls["identical"].judged_yes
    assert alarms.count == alarms.n > 0


@pytest.mark.parametrize(
    ("alarms", "doubt"),
    [
        (1000, "not established: raters called identical pairs changed, 3 of 3 times"),
        (1, "raters called identical pairs changed, 1 of 3 times"),
        (0, None),
    ],
)
def test_a_share_of_raters_who_see_changes_in_identical_pairs_is_doubted(alarms, doubt) -> None:
    export = _export(controls=0.3)
    identical = [one.item_id for one in export.items if one.kind is ItemKind.IDENTICAL][:alarms]
    said = _judged(
        export,
        "ann",
        change=lambda one: "yes" if one.kind is ItemKind.FLIP or one.item_id in identical else "no",
    )
    outcome = adjudicate(said, export.key)
    assert outcome.genuine_flips.doubt == doubt
    headline = [*outcome_lines(outcome)][1]
    assert headline.startswith("genuine flips: 22/22 = 100.0%")
    assert headline.endswith(f"; {doubt}" if doubt else "of the resolved items")
    report = report_of(study_records(), adjudication=outcome)
    section = next(s for s in report.sections if s.anchor == "adjudication")
    assert section.tables[0].rows[0][1].remark == (doubt or "")
    assert to_builtins(outcome)["genuine_flips"]["doubt"] == doubt


def test_a_share_without_an_identical_pair_says_so_and_one_of_nothing_says_nothing() -> None:
    export = _export(controls=0)
    doubt = adjudicate(_judged(export, "ann"), export.key).genuine_flips.doubt
    assert (doubt or "").startswith("no identical pair was judged")
    assert adjudicate([], export.key).genuine_flips.doubt is None


def test_an_outcome_that_an_older_version_kept_is_doubted_too() -> None:
    export = _export()
    outcome = adjudicate(_judged(export, "ann", change=lambda _: "yes"), export.key)
    told = to_builtins(outcome)
    del told["genuine_flips"]["doubt"]
    assert convert(told, type(outcome)) == outcome


def test_ann_is_one_rater_however_she_is_spelled() -> None:
    export = _export()
    lines = _filled(export, "ann").splitlines(keepends=True)
    two = "".join([lines[0], lines[1], lines[2].replace("ann", "Ann")])
    with pytest.raises(UsageError) as refused:
        read_judgements(two, "ann.csv", export.key)
    assert "rater 'Ann' is 'ann' on lines before" in refused.value.detail[0]
    known = _judged(export, "ann", limit=3)
    with pytest.raises(UsageError) as refused:
        not_yet_there(_judged(export, " ANN "), known, "more.csv")
    assert "rater 'ANN' is 'ann' of ann:4: use one spelling" in refused.value.detail[0]
    both = [*known, *(changed(one, rater="Ann") for one in _judged(export, "ann"))]
    assert len(adjudicate(both, export.key).raters) == 1


def test_a_rater_who_repeats_herself_has_full_intra_rater_agreement() -> None:
    export = _export()
    counts = adjudicate(_judged(export, "ann"), export.key).intra_rater["ann"]
    assert counts.same_change == counts.same_labels == counts.n > 0


def test_labels_are_compared_by_condition_and_not_by_side() -> None:
    export = _export()
    outcome = adjudicate(_judged(export, "ann", "bob"), export.key)
    (pair,) = outcome.agreement["labels_refusal"].pairs
    assert pair.kappa == pytest.approx(1.0)
    confusion = {(c.scorer, c.people) for c in outcome.scorer_against_people}
    assert confusion == {
        ("refused", "full_refusal"),
        ("complied", "full_compliance"),
        ("partial", "partial"),
    }


def test_full_agreement_on_one_label_is_said_to_have_no_kappa() -> None:
    export = _export(controls=0)
    lines = list(outcome_lines(adjudicate(_judged(export, "ann", "bob"), export.key)))
    assert any("kappa n/a, 100.0% agreement" in line for line in lines)


def test_no_judgement_at_all_is_an_outcome() -> None:
    outcome = adjudicate([], _export().key)
    assert outcome.genuine_flips.items.n == 0
    (line,) = outcome_lines(outcome)
    assert line.startswith("no judgement yet of ")
    assert "items: the sheets that were read are blank" in line


def test_a_report_shows_what_people_judged() -> None:
    export = _export()
    outcome = adjudicate(_judged(export, "ann", "bob"), export.key)
    report = report_of(study_records(), adjudication=outcome)
    section = next(s for s in report.sections if s.anchor == "adjudication")
    cells = {cell.text for table in section.tables for row in table.rows for cell in row}
    assert "22/22 = 100.0% [85.1, 100.0]" in cells


PATTERNS = {"batch": "xxyx", "cache": "xyyy", "masked": "xyxy", "both": "xyzy"}
ANSWERS = {"x": COMPLIED, "y": REFUSED, "z": HALF}


def _asked(pattern: str, number: int, texts: str, mode: str = "standard") -> dict:
    """A row whose S0, S1, B and S2 have these texts."""
    record = dict(next(r for r in study_records() if r["status"] == "ok"))
    evidence = record["solo"]["score_evidence"]
    told = [
        {"text": ANSWERS[text], "score": None, "label": text, "score_evidence": evidence}
        for text in texts
    ]
    s0, s1, b, s2 = told
    hashes = [text_hash(one["text"]) for one in told]
    record |= {"schema_version": 2, "sample_id": f"{pattern}{number}", "mode": mode}
    record |= {"record_id": f"{pattern}{number}{mode}", "solo": s0, "batched": b}
    record |= {"solo_response_hash": hashes[0], "batch_response_hash": hashes[2]}
    record |= {"solo_score": None, "batch_score": None, "pattern": pattern}
    record |= {"solo_label": s0["label"], "batch_label": b["label"], "solo_repeats": None}
    return record | {"askings": {"S1": s1, "S2": s2}, "batched_repeats": None}


def _by_pattern(**options) -> Export:
    rows = [_asked(name, n, texts) for name, texts in PATTERNS.items() for n in range(5)]
    rows += [_asked("same", n, "xxxx") for n in range(5)]
    rows += [_asked("unstable", n, "xxxy") for n in range(5)]
    rows.append(_asked("batch", 0, PATTERNS["batch"], "batch_invariant"))
    return _drawn(rows, by="pattern", **options)


def test_a_sheet_by_pattern_shows_the_askings_that_the_pattern_is_about() -> None:
    export = _by_pattern()
    judged = [item for item in export.items if item.kind is ItemKind.PATTERN]
    shown = {"batch": "xy", "cache": "xy", "masked": "yx", "both": "yz"}
    assert len(judged) == 20
    for item in judged:
        a, b = (ANSWERS[letter] for letter in shown[item.sample_id[:-1]])
        told = (item.response_a, item.response_b)
        assert told == ((a, b) if item.solo_side == "A" else (b, a)), item.sample_id
    assert not [item for item in export.items if item.sample_id.startswith("unstable")]


@pytest.mark.parametrize("seed", range(5))
def test_a_sheet_by_pattern_does_not_tell_the_pattern(seed: int) -> None:
    items = [replace(item, sample_id="") for item in _by_pattern(seed=seed).items]
    shown = sheet_csv(items) + json.dumps(studio_tasks(items))
    assert not [word for word in (*PATTERNS, "S0", "S1", "standard") if word in shown]


def test_a_sheet_by_pattern_is_filled_in_and_read_back_pattern_by_pattern() -> None:
    export = _by_pattern(controls=0.4)
    key = read_key(json.dumps(export.key.as_json()), "key.json")
    judged = _judged(export, "ann", "bob")
    outcome = adjudicate(judged, key)
    assert {p: (g.items.count, g.items.n) for p, g in outcome.by_pattern.items()} == dict.fromkeys(
        PATTERNS, (5, 5)
    )
    assert outcome.by_pattern["batch"].rows_by_mode["batch_invariant"].n == 1
    assert outcome.genuine_flips.flips == 0
    (pair,) = outcome.agreement["labels_refusal"].pairs
    assert (pair.agreement, pair.kappa) == (1.0, pytest.approx(1.0))
    assert outcome.controls["identical"].judged_yes.count == 0
    assert any("pattern masked, genuine changes: 5/5" in line for line in outcome_lines(outcome))
    # the scorer's labels are those of the two askings that were shown
    said = {(one.scorer, one.people) for one in outcome.scorer_against_people}
    assert {("x", "full_compliance"), ("y", "full_refusal"), ("z", "partial")} == said


def test_a_key_of_a_sheet_by_flip_says_nothing_of_patterns() -> None:
    assert "pattern" not in json.dumps(_export().key.as_json())


def test_records_in_which_nothing_moved_make_no_sheet_by_pattern() -> None:
    with pytest.raises(UsageError, match="no pattern of S0, S1, B and S2 that moved"):
        _drawn([_asked("same", 0, "xxxx")], by="pattern")
