"""``harness certify``: on kept GPU runs, and on a stand-in server whose causes are scripted."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from sealing import edit, seal

from harness.cause import CertificateVerdict, certify, read_lifetime
from harness.cause.certificate_counts import Gathered, not_covered
from harness.cli import main
from harness.records import RECORDS, iter_records, read_run_files, sealed, text_hash
from harness.report.certificate_page import paste_lines
from harness.words import DispatchMode, Mode

KEPT = Path(__file__).parents[2] / "results/reference"
TRITON = KEPT / "h200-vllm-0.19.1-unselected-triton"
STANDARD = {"mode": "standard"}
SMALL = ("--widths", "2,8", "--prompts", "8", "--lifetimes", "1", "--quiet")


@pytest.fixture(scope="module")
def lifetimes():
    """Two lifetimes of one stack: a kept run, read once, and stood beside itself."""
    return [read_lifetime(TRITON)] * 2


@pytest.mark.parametrize(
    "run", ["h100-vllm-0.19.1-schedules-fa3", "h200-vllm-0.19.1-unselected-fa3"]
)
def test_on_a_gpu_the_fa3_defect_is_found_blind_and_named(run):
    found = certify([read_lifetime(KEPT / run)])
    assert found.verdict is CertificateVerdict.NOT_INVARIANT
    (known,) = found.known
    assert known.threads[0] == "vllm-project/vllm#51902"


@pytest.mark.parametrize(
    "run", ["h100-vllm-0.19.1-schedules-triton", "h200-vllm-0.19.1-unselected-fa2"]
)
def test_on_a_gpu_another_kernel_is_invariant_within_a_bound_and_no_defect_is_named(run):
    found = certify([read_lifetime(KEPT / run)])
    assert found.verdict is CertificateVerdict.INVARIANT
    assert 0 < found.bounds.by_prompt < 0.3
    assert not found.known


def test_a_bound_is_of_what_the_claim_rests_on(lifetimes, tmp_path):
    archive = KEPT / "h200-vllm-0.19.1-certificates/smol-triton-96/runs.tar.xz"
    subprocess.run(["tar", "-xJf", archive, "-C", tmp_path], check=True)
    (run,) = (read_lifetime(folder) for folder in tmp_path.iterdir())
    found = certify([run])
    # 248 of 288 rows; counted from the records by hand: 95 prompts, 18,519 tokens
    assert (found.bounds.prompts, found.bounds.tokens) == (95, 18519)
    assert found.bounds.by_prompt == pytest.approx(1 - 0.05 ** (1 / 95))
    assert "it rests on 248 of 288 rows (95 prompts)" in found.reason
    assert "none of these leaves room for up to 3.10% of prompts" in found.reason
    # a lifetime that rests on all asks no more of the other
    assert certify(lifetimes).bounds.prompts == certify(lifetimes[:1]).bounds.prompts
    # after a change there is no zero to bound: what was asked is told
    fa3 = certify([read_lifetime(KEPT / "h200-vllm-0.19.1-unselected-fa3")])
    assert (fa3.bounds.prompts, fa3.bounds.by_prompt) == (24, None)


def test_the_prefix_cache_alone_is_no_proof_of_anything_and_is_named_apart():
    found = certify([read_lifetime(KEPT / "h100-vllm-0.19.1-smollm2-135m")])
    assert found.verdict is CertificateVerdict.VACUOUS
    assert [one.id for one in found.known] == ["fa3-cached-prefix"]


def test_several_runs_are_several_lifetimes_and_their_tokens_add_up(lifetimes):
    one, both = certify(lifetimes[:1]), certify(lifetimes)
    assert both.lifetimes == 2
    assert both.bounds.tokens == 2 * one.bounds.tokens
    assert both.bounds.prompts == one.bounds.prompts  # the same prompts say nothing more
    assert not any(both.between_lifetimes.values())
    assert both.verdict is CertificateVerdict.INVARIANT
    # one bound is of all, the other of one, and each says which
    assert " of prompts) over 2 lifetimes under " in both.sentence
    assert both.reason == f"lifetime 2 alone: {one.reason}"
    assert "lifetime" not in one.sentence


@pytest.mark.parametrize(
    ("others", "named"),
    [
        (
            "h200-vllm-0.19.1-unselected-fa2",
            "attention_backend is TRITON_ATTN in lifetime 1 and FLASH_ATTN in lifetime 2",
        ),
        (
            "h100-vllm-0.19.1-schedules-triton",
            "device.name is NVIDIA H200 in lifetime 1 and NVIDIA H100 80GB HBM3 in lifetime 2",
        ),
    ],
)
def test_runs_of_two_stacks_make_no_certificate_and_what_differs_is_named(others, named):
    runs = (TRITON, KEPT / others)
    both = certify([read_lifetime(run) for run in runs])
    assert both.verdict is CertificateVerdict.NOT_PROVEN
    assert named in both.reason


def _put(value, path, new):
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new


META = "metadata.json"
SERVER = "startup_batch_invariant_rand1b.json"
ARGUMENTS = ("attempts", -1, "facts", "arguments")


@pytest.mark.parametrize(
    ("file", "path", "new", "named"),
    [
        (META, ("versions", "vllm"), "0.20.0", "vllm is 0.19.1 in lifetime 1 and 0.20.0"),
        (META, ("versions", "harness"), "9.9", "harness is 0.1.0 in lifetime 1 and 9.9"),
        (META, ("device", "name"), "NVIDIA L4", "device.name is NVIDIA H200 in lifetime 1 and"),
        (META, ("gpus", 0, "compute_cap"), "8.9", "compute_cap is 9.0 in lifetime 1 and 8.9"),
        (META, ("gpus", 0, "driver_version"), "1", "driver_version is 580.159.04 in lifetime 1"),
        (META, ("image",), {"image_id": "sha256:1"}, "image_id is (not recorded) in lifetime 1"),
        (META, ("model_files", "rand1b"), "0" * 64, "rand1b is 8c0e5ce9709d"),
        (META, ("resolved_spec", "controls", "prefix_caching"), "on", "controls.prefix_caching"),
        (META, ("resolved_spec", "server", "extra_args"), ["--x"], "server.extra_args"),
        (SERVER, (*ARGUMENTS, "max_num_seqs"), 25, "(rand1b, batch_invariant) is 24 in lifetime 1"),
        (SERVER, (*ARGUMENTS, "seed"), 1, "arguments.seed (rand1b, batch_invariant) is (not rec"),
    ],
)
def test_each_part_of_a_stack_is_compared(lifetimes, tmp_path, file, path, new, named):
    changed = tmp_path / "changed"
    shutil.copytree(TRITON, changed)
    value = json.loads((changed / file).read_text())
    _put(value, path, new)
    (changed / file).write_text(json.dumps(value))
    other = msgspec.structs.replace(lifetimes[0], files=read_run_files(changed))
    found = certify([lifetimes[0], other])
    assert found.verdict is CertificateVerdict.NOT_PROVEN
    assert named in found.reason, found.reason
    assert found.reason.startswith("lifetime 2 is of another stack: ")


@pytest.mark.parametrize("second", ["NVIDIA H200", "NVIDIA H100 80GB HBM3"])
def test_which_card_of_a_machine_is_no_other_stack_where_all_are_of_one_kind(
    lifetimes, tmp_path, second
):
    changed = tmp_path / "changed"
    shutil.copytree(TRITON, changed)
    metadata = json.loads((changed / META).read_text())
    metadata["gpus"].append(metadata["gpus"][0] | {"name": second, "uuid": "GPU-other"})
    (changed / META).write_text(json.dumps(metadata))
    here = read_run_files(changed)
    for file in changed.glob("startup_*.json"):
        value = json.loads(file.read_text())
        _put(value, ("attempts", -1, "server", "environment", "CUDA_VISIBLE_DEVICES"), "1")
        file.write_text(json.dumps(value))
    one, other = (
        msgspec.structs.replace(lifetimes[0], files=files)
        for files in (here, read_run_files(changed))
    )
    both = certify([one, other])
    if second == "NVIDIA H200":
        assert both.verdict is CertificateVerdict.INVARIANT
    else:
        assert "environment.CUDA_VISIBLE_DEVICES is 0 in lifetime 1 and 1" in both.reason


def test_steps_places_and_paths_differ_on_purpose(lifetimes, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(TRITON, changed)
    metadata = json.loads((changed / META).read_text())
    spec = metadata["resolved_spec"]
    spec["models"][0]["hf_id"] = "/elsewhere/rand1b"
    spec["server"]["port"] = 19999
    spec["server"]["extra_args"] += ["--max-num-batched-tokens", "256"]
    metadata["git_commit"] = "another"
    (changed / META).write_text(json.dumps(metadata))
    for file in changed.glob("startup_*.json"):
        value = json.loads(file.read_text())
        # a gated batch takes the development endpoints, which a lifetime without one leaves out
        environment = value["attempts"][-1]["server"].setdefault("environment", {})
        environment["VLLM_SERVER_DEV_MODE"] = f"{environment.get('VLLM_SERVER_DEV_MODE')} other"
        told = value["attempts"][-1]["facts"]
        told["max_num_batched_tokens"] = 256
        told["arguments"] |= {
            "max_num_batched_tokens": 256, "port": 19999, "model": "/elsewhere/rand1b",
        }  # fmt: skip
        file.write_text(json.dumps(value))
    other = msgspec.structs.replace(lifetimes[0], files=read_run_files(changed))
    both = certify([lifetimes[0], other])
    assert both.verdict is CertificateVerdict.INVARIANT
    first = certify(lifetimes[:1])
    own = first.arguments[Mode.STANDARD]["max_num_batched_tokens"]
    assert not first.by_lifetime[Mode.STANDARD]
    for mode in Mode:
        assert both.by_lifetime[mode]["max_num_batched_tokens"] == (own, 256)
        assert "max_num_batched_tokens" not in both.arguments[mode]
        assert both.arguments[mode]["max_num_seqs"] == 24
    told = list(paste_lines(both))
    assert f"arguments by lifetime (1 to 2): max_num_batched_tokens={own}, 256" in told
    assert "arguments that differ between the modes: none" in told
    assert not any(line.startswith("arguments by lifetime") for line in paste_lines(first))


def test_arguments_that_only_one_mode_or_lifetime_has_are_told(lifetimes, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(TRITON, changed)
    file = changed / SERVER
    value = json.loads(file.read_text())
    value["attempts"][-1]["facts"]["arguments"]["seed"] = 7
    file.write_text(json.dumps(value))
    parity = json.loads((changed / META).read_text())
    parity["mode_parity"]["rand1b"].append(
        {"name": "arguments.seed", "standard": "(absent)", "invariant": "7"}
    )
    (changed / META).write_text(json.dumps(parity))
    other = msgspec.structs.replace(lifetimes[0], files=read_run_files(changed))
    both = certify([lifetimes[0], other])
    assert both.by_lifetime[Mode.BATCH_INVARIANT]["seed"] == (None, 7)
    told = list(paste_lines(both))
    assert "arguments by lifetime (1 to 2): seed=not given, 7" in told
    assert (
        "arguments that differ between the modes: seed: not given in standard, not given, 7 in "
        "batch-invariant"
    ) in told
    moved = [one for one in both.differences if "arguments.seed" in one]
    assert moved == [
        "rand1b: arguments.seed: (absent) in standard, 7 in batch-invariant (lifetime 2)"
    ]


def test_entries_of_which_a_run_does_not_tell_enough_are_not_covered(lifetimes, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(TRITON, changed)
    for log in changed.glob("*.log*"):
        log.unlink()
    bare = msgspec.structs.replace(lifetimes[0], files=read_run_files(changed))
    (gap,) = [one for one in certify([bare]).not_covered if "of which nothing can be said" in one]
    assert "feature not known: moe-no-guard" in gap
    assert "nothing can be said" not in " ".join(certify(lifetimes[:1]).not_covered)


@pytest.mark.parametrize(
    ("given", "gpus"),
    [
        ({}, "more than one GPU"),
        ({"tensor_parallel_size": 1}, "more than one GPU"),
        ({"tensor_parallel_size": 2}, "another number of GPUs"),
        ({"pipeline_parallel_size": "2"}, "another number of GPUs"),
        ({"data_parallel_size": 4}, "another number of GPUs"),
    ],
)
def test_servers_of_several_gpus_leave_another_number_uncovered(given, gpus):
    counted = Gathered()
    *_, last = not_covered(counted, (), 1, {Mode.STANDARD: {}}, {Mode.BATCH_INVARIANT: given})
    assert last == f"{gpus}, other models, other arguments than these"


def test_another_text_alone_in_another_lifetime_is_no_proof(lifetimes, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(TRITON, changed)
    lines = (changed / RECORDS).read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    for row in rows:
        for answer in filter(None, (row["solo"], row["batched"], *row["askings"].values())):
            answer.update(text="another", response_hash=text_hash("another"))
        row["solo_response_hash"] = row["batch_response_hash"] = text_hash("another")
    (changed / RECORDS).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    other = msgspec.structs.replace(lifetimes[0], files=read_run_files(changed))
    found = certify([lifetimes[0], other])
    assert found.verdict is CertificateVerdict.NOT_PROVEN
    assert "have another text alone" in found.reason


def test_a_batch_with_a_split_prefill_counts_once_however_many_rows_share_it(lifetimes, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(TRITON, changed)
    rows = [json.loads(line) for line in (changed / RECORDS).read_text().splitlines()]
    for row in rows:
        way = row["mode"], row["dispatch_mode"]
        row["witness"]["B"]["split_prefills"] = 2 if way == ("standard", "synchronized") else 0
    (changed / RECORDS).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    other = msgspec.structs.replace(lifetimes[0], files=read_run_files(changed))
    one, again = certify([other]), certify([other, other])
    batches = len({row["dispatch_mode"] for row in rows})  # each of 24 rows and more
    assert one.split_batches == {Mode.STANDARD: (1, batches), Mode.BATCH_INVARIANT: (0, batches)}
    assert again.split_batches[Mode.STANDARD] == (2, 2 * batches)
    told = f"split prefills in 1 of {batches} standard batches and 0 of {batches} batch-invariant"
    assert any(told in line for line in paste_lines(one))
    assert "a prompt that is prefilled in pieces" in one.not_covered  # in the mode that counts


def test_a_stack_whose_standard_mode_alone_changes_is_certified(place, slow):
    place.causes(STANDARD)
    asked = (*SMALL, *slow)
    code, out, err = place.harness("certify", "-c", "spec.yaml", *asked, "-o", "certificate")
    assert code == 0, err
    assert out.startswith("invariant within")
    told = json.loads(Path("certificate/certificate.json").read_text())
    assert {cell["schedule"] for cell in told["seen"]} == {
        *("synchronized", "gated", "staggered", "wide")
    }
    page = Path("certificate/certificate.md").read_text()
    assert "batch invariance: invariant within" in page
    assert "positive control: standard mode changes 8 of 8 prompts" in page
    # the same command again asks nothing and says the same
    assert (
        place.harness("certify", "-c", "spec.yaml", *asked)[1].splitlines()[0]
        == (out.splitlines()[0])
    )


def test_a_mode_that_changes_is_refused_and_one_without_a_control_is_vacuous(place):
    place.causes(STANDARD, {"mode": "batch_invariant", "mixed": True, "of": 0.6})
    code, out, err = place.harness("certify", "-c", "spec.yaml", *SMALL, "--json", "--fresh")
    assert code == 1
    told = json.loads(out)
    assert told["verdict"] == "not invariant"
    assert told["ties"] > 0  # the stand-in's gap is 0.01
    assert "error: not invariant" in err
    place.causes()
    code, out, _ = place.harness("certify", "-c", "spec.yaml", *SMALL, "--fresh")
    assert (code, out.partition(":")[0]) == (1, "vacuous")


def test_a_text_that_changes_alone_too_is_noise_and_no_verdict(place):
    place.causes(STANDARD, {"mode": "batch_invariant", "width": 1, "flaky": 0.4})
    code, out, err = place.harness("certify", "-c", "spec.yaml", *SMALL, "--json", "--fresh")
    told = json.loads(out)
    assert (code, told["verdict"]) == (1, "not proven"), told["reason"]
    assert told["noise"]["batch_invariant"] > 0
    assert told["noise"]["standard"] == 0
    assert told["bounds"]["by_prompt"] is None
    assert "error: not proven" in err


def test_a_schedule_that_is_none_is_named_with_the_nearest(place):
    code, _, err = place.harness("certify", "-c", "spec.yaml", "--schedules", "stagered")
    assert code == 2
    assert "did you mean 'staggered'?" in err


def test_lifetimes_that_run_at_once_leave_what_those_one_after_the_other_do(place, slow):
    place.causes(STANDARD)
    # four servers at once: a batch is late to meet itself
    flags = ("--widths", "2,8", "--prompts", "6", "--lifetimes", "2", "--overlap", "4", *slow)
    code, _, err = place.harness(
        "certify", "-c", "spec.yaml", *flags, "--quiet", "-o", "certificate"
    )
    assert code == 0, err
    told = json.loads(Path("certificate/certificate.json").read_text())
    assert (told["verdict"], told["lifetimes"]) == ("invariant", 2)
    assert len(told["runs"]) == len(set(told["runs"])) == 2
    assert {one["lifetime"] for one in told["proofs"]} == {1, 2}
    # a gated batch's prompts do not fit the second lifetime's steps
    runs = sorted(Path("results").glob("stack-certify-*-[12]"), key=lambda run: run.name[-1])
    one, two = ({r.dispatch_mode for _, r in iter_records(run / RECORDS)} for run in runs)
    assert one - two == {DispatchMode.GATED}


def test_servers_that_would_take_each_others_memory_are_not_started_at_once(place):
    flags = ("--profile", "controlled", "--tasks", "tasks", "--overlap", "3")
    code, _, err = place.harness("certify", *flags)
    assert code == 2
    assert "--kv-cache-memory-bytes" in err


def test_a_run_given_twice_is_not_two_lifetimes(tmp_path, capsys):
    run = KEPT / "h200-vllm-0.19.1-unselected-triton"
    with pytest.raises(SystemExit) as ended:
        main(["certify", "--of", str(run), "--of", str(run), "-o", str(tmp_path / "c")])
    assert ended.value.code == 2
    assert "is given twice" in capsys.readouterr().err


def test_records_that_were_taken_out_are_missed_whatever_lies_beside_them(tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(KEPT / "h200-vllm-0.19.1-unselected-triton", run)
    lines = (run / "vllm_records.jsonl").read_text().splitlines(keepends=True)
    (run / "vllm_records.jsonl").write_text("".join(lines[: len(lines) * 3 // 4]))
    with pytest.raises(SystemExit):
        main(["certify", "--of", str(run), "-o", str(tmp_path / "c")])
    assert capsys.readouterr().out.startswith("not proven")


@pytest.mark.parametrize(
    ("gone", "code", "said"),
    [
        ("metadata.json", 2, "which stack was asked, and how, is not known (give the whole folder"),
        ("metadata.json *.jsonl", 2, "no vllm_records.jsonl in this folder"),
        (
            "metadata.json prompt_hashes.jsonl selected_candidates.jsonl",
            *(2, "selected_candidates.jsonl and prompt_hashes.jsonl are missing too"),
        ),
        ("vllm_records.jsonl", 2, "no record is there"),
        ("summary.json", 2, "a run that ended wrote it; `harness summarize"),
        ("validation.json", 2, "a run that ended wrote it; `harness validate"),
        ("startup_standard*", 1, "rand1b in mode standard has records and no start-up file"),
        ("startup_*", 1, "rand1b in mode batch_invariant has records and no start-up file"),
        ("native_standard*", 1, "logs_unchanged: missing or changed since: startup_standard"),
        ("native_* startup_*", 1, "records and no start-up file"),
        ("selected_candidates.jsonl", 1, "what was planned: selected_candidates.jsonl is missing"),
        ("prompt_hashes.jsonl", 1, "what was planned: prompt_hashes.jsonl is missing"),
        ("report.md", 0, "invariant within"),
    ],
)
def test_each_file_that_is_missing_is_told_and_none_is_believed_in_its_absence(
    tmp_path, capsys, gone, code, said
):
    run = tmp_path / "run"
    shutil.copytree(TRITON, run)
    for file in (file for pattern in gone.split() for file in run.glob(pattern)):
        file.unlink()
    with pytest.raises(SystemExit) as ended:
        main(["certify", "--of", str(run)])
    told = capsys.readouterr()
    assert (ended.value.code or 0) == code, told
    assert said in told.out + told.err
    assert "Traceback" not in told.err
    assert told.err.count("error: ") == (code > 0)


@pytest.mark.parametrize("file", ["metadata.json", "startup_standard_rand1b.json", "summary.json"])
@pytest.mark.parametrize("text", ["", "{}", "[]", '{"resolved_spec": {"models": 1}}', "\0"])
def test_a_file_of_another_form_is_no_traceback(tmp_path, capsys, file, text):
    run = tmp_path / "run"
    shutil.copytree(TRITON, run)
    (run / file).write_text(text)
    with pytest.raises(SystemExit) as ended:
        main(["certify", "--of", str(run)])
    assert ended.value.code in (1, 2)
    assert capsys.readouterr().err.count("error: ") == 1


@pytest.mark.parametrize(
    ("path", "new"),
    [
        (("resolved_spec", "server", "unknown"), 1),
        (("resolved_spec", "models"), []),
        (("resolved_spec", "tasks"), None),
        (("versions",), None),
        (("gpus",), None),
        (("gpus", 0, "compute_cap"), 9.0),
        (("mode_parity",), [1]),
        (("mode_parity", "rand1b"), [{}]),
        (("model_files",), 7),
    ],
)
def test_settings_that_cannot_be_read_are_one_message(tmp_path, capsys, path, new):
    run = tmp_path / "run"
    shutil.copytree(TRITON, run)
    metadata = json.loads((run / META).read_text())
    _put(metadata, path, new)
    (run / META).write_text(json.dumps(metadata))
    with pytest.raises(SystemExit) as ended:
        main(["certify", "--of", str(run), "--of", str(TRITON)])
    assert ended.value.code in (1, 2)
    told = capsys.readouterr().err
    assert told.count("error: ") == 1
    assert "pydantic" not in told


def test_without_prompts_nothing_is_proven(lifetimes, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(TRITON, changed)
    (changed / RECORDS).write_text("")
    other = msgspec.structs.replace(lifetimes[0], files=read_run_files(changed))
    found = certify([other])
    assert (found.verdict, found.reason) == (
        *(CertificateVerdict.NOT_PROVEN, "no prompt was asked in standard mode"),
    )
    assert found.bounds.by_prompt is None


def test_a_run_whose_summary_makes_no_claim_proves_nothing(lifetimes):
    summary = msgspec.structs.replace(lifetimes[0].summary, claims=())
    found = certify([msgspec.structs.replace(lifetimes[0], summary=summary)])
    assert found.verdict is CertificateVerdict.NOT_PROVEN


def test_a_copy_under_another_name_is_the_same_lifetime(tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(TRITON, run)
    metadata = json.loads((run / META).read_text())
    (run / META).write_text(json.dumps(metadata | {"run_id": "another"}))
    with pytest.raises(SystemExit) as ended:
        main(["certify", "--of", str(TRITON), "--of", str(run)])
    assert ended.value.code == 2
    assert "is given twice" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("served_anew", "told"), [(False, "is given twice"), (True, "to the microsecond")]
)
def test_nor_does_a_log_with_a_line_more_make_it_another(tmp_path, capsys, served_anew, told):
    run = tmp_path / "run"
    shutil.copytree(TRITON, run)
    edit(run / META, lambda metadata: metadata.update(run_id="run"))
    rows = [json.loads(line) for line in (run / "vllm_records.jsonl").read_text().splitlines()]
    lines = (json.dumps(sealed(row | {"run_id": "run"})) for row in rows)
    (run / "vllm_records.jsonl").write_text("".join(f"{line}\n" for line in lines))
    for path in run.glob("startup_*.json"):
        (start,) = json.loads(path.read_text())["attempts"]
        name, log = start["server"]["served_model_name"], run / f"{start['log']}.gz"
        another = name[:-1] + "0x"[name[-1] == "0"] if served_anew else name
        text = gzip.decompress(log.read_bytes()).decode().replace(name, another) + "\n"
        log.write_bytes(gzip.compress(text.encode()))
        told_anew = path.read_text().replace(name, another)
        told_anew = told_anew.replace(start["log_sha256"], sha256(text.encode()).hexdigest())
        seal(path, {k: v for k, v in json.loads(told_anew).items() if k != "sum"})
    with pytest.raises(SystemExit) as ended:
        main(["certify", "--of", str(TRITON), "--of", str(run)])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            (str(TRITON), "--widths", "2,4", "--profile", "demo"),
            "asks nothing: --profile, --widths",
        ),
        ((str(TRITON), "--lifetimes", "3"), "asks nothing: --lifetimes"),
        (
            (str(TRITON.parent / "h100-vllm-0.19.1-random-1b"),),
            "of another version of the harness: controls.solo_repeats",
        ),
    ],
)
def test_what_a_kept_run_cannot_answer_is_one_message(capsys, words, said):
    with pytest.raises(SystemExit) as ended:
        main(["certify", "--of", *words])
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1


def test_schedules_that_nobody_asked_for_are_not_missed(capsys):
    for more, missed in (((), False), (("--schedules", "gated"), True)):
        with pytest.raises(SystemExit):
            main(["certify", "--of", str(TRITON), *more])
        assert ("schedules: gated" in capsys.readouterr().out) is missed


@pytest.mark.parametrize(
    ("verb", "place"),
    [
        (("certify", "--of", str(TRITON)), "a file"),
        (("matrix", "--profile", "demo", "--axis", "graphs"), "a file"),
        (("bench", "--profile", "demo"), "a file"),
        (("shrink", str(TRITON), "x"), "."),
    ],
)
def test_where_nothing_can_be_written_is_refused_before_anything_starts(
    tmp_path, monkeypatch, capsys, verb, place
):
    monkeypatch.chdir(tmp_path)
    Path("a file").write_text("mine")
    with pytest.raises(SystemExit) as ended:
        main([*verb, "-o", place])
    assert ended.value.code == 2
    assert "'-o' / '--out'" in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir()] == ["a file"]


def test_records_without_their_run_are_no_lifetime(tmp_path, capsys):
    alone = tmp_path / "alone.jsonl"
    shutil.copy(TRITON / RECORDS, alone)
    with pytest.raises(SystemExit) as ended:
        main(["certify", "--of", str(alone)])
    assert ended.value.code == 2
    assert f"{alone}: records without their run" in capsys.readouterr().err
