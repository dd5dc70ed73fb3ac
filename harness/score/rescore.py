"""A record scored anew from its saved answers: the same answers, another profile's scores."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from harness.errors import UsageError
from harness.families import PYTHON
from harness.flips import score_state
from harness.score.answer import Score
from harness.score.scorers import Profile, score
from harness.tasks import Population, Prompt
from harness.words import Status

Record = Mapping[str, Any]


def rescore(
    record: Record, population: Population, profile: Profile, *, own: bool = False
) -> dict[str, Any]:
    """The record with every score, label and piece of evidence computed again.

    Answers, hashes and every other key stay as they are; a record in error stays whole. A scorer of
    one's own judges alike under every profile and is code of whoever made the run: what it said
    stays, unless ``own`` has it run again.

    Args:
        record: one that holds its answers' texts.
        population: the tasks that the record was made from.
        profile: whose scorers to use.
        own: run scorers of one's own, ``python:module:function``.

    Raises:
        UsageError: an answer without its text, a sample that is not in the population, or one
            whose prompt is no longer the one that was answered.
    """
    if record.get("status", Status.OK) != Status.OK:
        return {**record, "score_profile": profile}
    prompt = _prompt(record, population)
    scored: Callable[[str], Score] | None = None
    if own or not prompt.task.scorer.startswith(PYTHON):  # equal texts are scored once
        scored = cache(lambda text: score(prompt.task, prompt.sample, text, profile))
    solo, solo_score = _again(record.get("solo"), "solo", scored)
    batched, batch_score = _again(record.get("batched"), "batched", scored)
    repeats = {
        key: [_again(answer, key, scored)[0] for answer in record.get(key) or ()]
        for key in ("solo_repeats", "batched_repeats")
        if key in record
    }
    told = record.get("askings") or {}
    others = {key: answer and _again(answer, key, scored)[0] for key, answer in told.items()}
    askings = {"askings": others} if told else {}
    return {
        **record,
        "score_profile": profile,
        "solo_score": solo_score.value,
        "batch_score": batch_score.value,
        "solo_label": solo_score.label,
        "batch_label": batch_score.label,
        "label_flip": solo_score.flips_to(batch_score),
        "solo": solo,
        "batched": batched,
        **repeats,
        **askings,
    }


def flips_under(record: Record, population: Population, profile: Profile) -> tuple[bool, int]:
    """Whether B's label is another than S0's, and than S1's (-1 where that was not asked).

    Args:
        record, population, profile: as for `rescore`, which tells what is raised.
    """
    again = rescore(record, population, profile)
    s1 = (again.get("askings") or {}).get("S1") or (again.get("solo_repeats") or (None,))[0]
    if s1 is None:
        return again["label_flip"], -1
    one, other = (score_state(a["score"], a["label"]) for a in (s1, again["batched"]))
    return again["label_flip"], int(one != other)


def _again(
    answer: Any, condition: str, scored: Callable[[str], Score] | None
) -> tuple[dict[str, Any], Score]:
    """The answer with its score replaced, and the score; without ``scored`` the one that it has."""
    text = answer.get("text") if isinstance(answer, Mapping) else None
    if not isinstance(text, str):
        raise UsageError(
            f"{condition}: no answer text, only a hash or nothing",
            hint="only records that keep their answers can be scored again",
        )
    if scored is None:
        label = str(answer.get("label", ""))
        return {**answer}, Score(answer.get("score"), label, "", None, "", "")
    given = scored(text)
    fresh = {"score": given.value, "label": given.label, "score_evidence": given.evidence()}
    return {**answer, **fresh}, given


def _prompt(record: Record, population: Population) -> Prompt:
    key = (str(record.get("task_name")), str(record.get("sample_id")))
    index = population.index.get(key)
    if index is None:
        there = "tasks there: " + ", ".join(task.name for task in population.tasks)
        raise UsageError(f"no sample '{key[1]}' of task '{key[0]}' in the tasks given", hint=there)
    prompt = population.prompts[index]
    if record.get("prompt_sha256") not in (None, prompt.sha256):
        raise UsageError(
            f"the prompt of {prompt.key} is not the one that was answered",
            hint=f"{prompt.task.file} has changed since; give the tasks of that run with --tasks",
        )
    return prompt
