"""The order of askings in a run and in a scan, and what an asking that failed leaves.

The server is a stand-in that records what it is sent: its transport answers at once.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import httpx
import pytest

from harness.candidates import Candidate
from harness.plan import Lifetime, build_plan
from harness.records import Record
from harness.replay import CompletionsClient, Dispatcher, ReplaySession
from harness.settings import Controls, ModelSpec, RequestSettings, RunSpec
from harness.tasks.task import Population, Prompt, Sample, Task
from harness.words import Asking, CachePolicy, Domain, Mode, Pattern

NAMES = ("a", "b", "c", "d")


def population(names=NAMES):
    samples = tuple(Sample(name, {"id": name}, 3) for name in names)
    task = Task("t", "safety_refusal", "refusal", Domain.SAFETY, "x", samples, "t.yaml")
    return Population((task,), tuple(Prompt(task, one, one.sample_id) for one in samples))


def row(sample, size=2, dispatch="prompt_list"):
    return Candidate(
        model="m", task_name="t", sample_id=sample, batch_size=size, dispatch_mode=dispatch
    )


def spec(**controls):
    return RunSpec(
        models=(ModelSpec(name="m", hf_id="org/m"),),
        modes=(Mode.STANDARD,),
        tasks="tasks",
        request=RequestSettings(max_tokens=8, max_attempts=2),
        controls=Controls(**controls),
    )


class RecordingStandIn:
    """Writes down each request; answers with its number, or with an ending that is due.

    Args:
        endings: finish reasons by prompt, each taken once.
        says: the text for a prompt's nth request, where it matters.
    """

    def __init__(self, endings=(), says=None):
        self.sent = []
        self.endings = list(endings)
        self.says = says or (lambda prompt, n, batched: f"{prompt} {n}")
        self.count = Counter()

    def __call__(self, request):
        if request.url.path != "/v1/completions":
            return httpx.Response(200, text="")
        prompt = json.loads(request.content)["prompt"]
        self.sent.append("".join(prompt))
        batched = isinstance(prompt, list)
        rows = [self.choice(i, p, batched) for i, p in enumerate(prompt if batched else [prompt])]
        return httpx.Response(200, json={"choices": rows})

    def choice(self, index, prompt, batched):
        reason = "stop"
        for due in self.endings:
            if due[:2] == (prompt, batched):
                reason = due[2]
                self.endings.remove(due)
                break
        self.count[prompt] += 1
        text = self.says(prompt, self.count[prompt], batched)
        return {"index": index, "text": text, "finish_reason": reason}


def play(server, rows, settings=None, lifetime=None):
    settings = settings or spec()
    records: list[Record] = []
    written: list[tuple[str, int]] = []

    def write(record):
        records.append(record)
        written.append((record.sample_id, len(server.sent)))

    async def alive():
        return None

    async def no_wait(_seconds):
        return None

    async def go():
        transport = httpx.MockTransport(server)
        async with CompletionsClient("http://s", "m", settings.request, transport=transport) as one:
            dispatcher = Dispatcher(one, max_attempts=2, probe=alive, sleep=no_wait)
            session = ReplaySession(dispatcher, settings, run_id="r", write=write)
            await session.replay(lifetime or build_plan(settings, rows, population()).lifetimes[0])

    asyncio.run(go())
    return records, written


def test_every_prompt_of_the_batch_is_asked_alone_once_then_s1_then_b_then_s2():
    server = RecordingStandIn()
    records, _ = play(server, [row("a")])
    assert server.sent == ["a", "b", "a", "ab", "a"]
    (one,) = records
    texts = [one.asked(asking) and one.asked(asking).text for asking in Asking]
    assert texts == ["a 1", "a 2", "a 3", None, "a 4"]
    assert (one.schema_version, one.warmed, one.s1_after_batch) == (2, 1, False)
    assert [(c.key, c.finish_reason) for c in one.companions] == [("t/b", "stop")]


@pytest.mark.parametrize("policy", [p for p in CachePolicy if p.forbids_earlier])
def test_where_no_cache_lasts_only_targets_are_asked_alone(policy):
    server = RecordingStandIn()
    (one,), _ = play(server, [row("a")], spec(prefix_caching=policy))
    assert server.sent == ["a", "a", "ab", "a"]
    assert one.warmed == 0


def test_rows_of_one_slice_share_its_batch_and_are_written_one_by_one():
    server = RecordingStandIn()
    records, written = play(server, [row("a"), row("c"), row("b")])
    assert server.sent == ["a", "b", "a", "b", "ab", "a", "b", "c", "d", "c", "cd", "c"]
    assert written == [("a", 6), ("b", 7), ("c", 12)]
    a, b, _ = records
    assert (a.batched.text, b.batched.text) == ("a 3", "b 3")
    assert [c.response_hash for c in a.companions] == [b.batch_response_hash]


def test_a_prompt_is_first_asked_once_and_the_s2_of_one_row_is_the_s1_of_the_next():
    server = RecordingStandIn()
    records, _ = play(server, [row("a"), row("a", 4), row("b", 4)])
    assert server.sent == ["a", "b", "a", "ab", "a", "c", "d", "b", "abcd", "a", "b"]
    two, four, _ = records
    assert two.solo == four.solo
    assert two.askings.S2 == four.askings.S1
    assert four.askings.S2.text == "a 6"
    assert [record.warmed for record in records] == [1, 3, 3]


def test_the_schedules_of_one_group_share_what_is_asked_alone():
    server = RecordingStandIn()
    modes = ("synchronized", "prompt_list")
    records, _ = play(server, [row(name, 2, mode) for mode in modes for name in "ab"])
    assert "".join(sorted(server.sent[4:6])) == "ab"  # synchronized, in either order
    assert [*server.sent[:4], *server.sent[6:]] == ["a", "b", "a", "b", "ab", "a", "b"]
    assert Counter(r.dispatch_mode for r in records) == dict.fromkeys(modes, 2)
    one, other = (record for record in records if record.sample_id == "a")
    assert (one.solo, one.askings) == (other.solo, other.askings)
    assert one.batched != other.batched


def test_the_askings_that_a_spec_names_are_the_ones_that_are_sent():
    server = RecordingStandIn()
    (one,), _ = play(server, [row("a")], spec(askings=(Asking.S0, Asking.B)))
    assert server.sent == ["a", "b", "ab"]
    assert one.pattern is None
    server = RecordingStandIn()
    (one,), _ = play(server, [row("a")], spec(askings=tuple(Asking)))
    assert server.sent == ["a", "b", "a", "ab", "ab", "a"]
    assert (one.batched.text, one.askings.B2.text) == ("a 3", "a 4")


def test_a_scan_of_all_rows_and_a_run_of_the_changed_ones_ask_a_row_in_one_order():
    scanned, chosen = RecordingStandIn(), RecordingStandIn()
    play(scanned, [row(name) for name in NAMES])
    play(chosen, [row("d")])

    def of_slice(sent):
        return [each for each in sent if set(each) <= set("cd")]

    assert of_slice(scanned.sent) == ["c", "d", "c", "d", "cd", "c", "d"]
    assert chosen.sent == ["c", "d", "d", "cd", "d"]


@pytest.mark.parametrize(
    ("said", "pattern"),
    [
        ("xxxx", Pattern.SAME),
        ("xxyx", Pattern.BATCH),
        ("xyyy", Pattern.CACHE),
        ("xyxy", Pattern.MASKED),
        ("xyzy", Pattern.BOTH),
        ("xxxy", Pattern.UNSTABLE),
    ],
)
def test_the_record_names_the_pattern_of_what_the_server_said(said, pattern):
    server = RecordingStandIn(says=lambda prompt, n, _: said[n - 1] if prompt == "a" else "-")
    (one,), _ = play(server, [row("a")])
    assert one.pattern is pattern
    assert json.loads(one.line())["pattern"] == str(pattern)


def test_a_resumed_slice_is_asked_again_whole_for_the_rows_that_are_missing():
    settings = spec()
    plan = build_plan(settings, [row("a"), row("b")], population())
    whole = plan.lifetimes[0]
    left = Lifetime(whole.model, whole.mode, whole.records[1:])
    server = RecordingStandIn()
    records, _ = play(server, [], settings, left)
    assert server.sent == ["a", "b", "b", "ab", "b"]
    assert [record.sample_id for record in records] == ["b"]


@pytest.mark.parametrize("who", ["a", "b"])
@pytest.mark.parametrize("reason", ["abort", "error", None])
def test_a_batch_with_an_answer_that_was_given_up_is_sent_again_whole(who, reason):
    server = RecordingStandIn(endings=[(who, True, reason)])
    (one,), _ = play(server, [row("a")])
    assert server.sent == ["a", "b", "a", "ab", "ab", "a"]
    assert (one.ok, one.batched.attempts, one.batched.finish_reason) == (True, 2, "stop")


def test_a_solo_answer_that_was_given_up_is_asked_again():
    server = RecordingStandIn(endings=[("a", False, "abort")])
    (one,), _ = play(server, [row("a")])
    assert server.sent == ["a", "a", "b", "a", "ab", "a"]
    assert one.solo.attempts == 2


def test_what_is_given_up_to_the_end_is_an_error_that_names_asking_member_and_reason():
    server = RecordingStandIn(endings=[("b", True, "abort")] * 2)
    records, _ = play(server, [row("a"), row("c")])
    failed, good = records
    assert failed.error == "B: t/b ended in abort, not in length or stop (2 in the asking)"
    assert (failed.ok, failed.solo, failed.pattern, good.ok) == (False, None, None, True)


@pytest.mark.parametrize(
    ("before", "error"),
    [(0, "S0: t/a ended in abort"), (1, "S1: t/a ended in"), (2, "S2: t/a ended in")],
)
def test_a_solo_asking_that_failed_fails_its_row_alone_where_no_cache_lasts(before, error):
    server = RecordingStandIn(endings=[("a", False, "stop")] * before + [("a", False, "abort")] * 2)
    settings = spec(prefix_caching=CachePolicy.OFF)
    records, _ = play(server, [row("a"), row("b")], settings)
    by_sample = {record.sample_id: record for record in records}
    assert by_sample["a"].error.startswith(error)
    assert by_sample["b"].ok


def test_a_companion_that_cannot_be_asked_alone_leaves_no_batch_in_another_cache_state():
    server = RecordingStandIn(endings=[("b", False, "abort")] * 2)
    (one,), _ = play(server, [row("a")])
    assert "ab" not in server.sent
    assert one.error.startswith("B: not sent, for alone t/b ended in abort")
