"""What a run could not exclude: each threat with what in the data or the design leaves it open."""

from collections.abc import Callable, Iterator

from harness.analyse.summary import Summary, Threat
from harness.analyse.wider_claims import how_selected
from harness.flips import unscored_text
from harness.records import Records
from harness.words import CachePolicy

Look = Callable[[Summary, Records], Iterator[tuple[str, str]]]
_LOOKS: list[Look] = []


def list_threats(summary: Summary, records: Records) -> tuple[Threat, ...]:
    """The threats that apply, the general ones first."""
    return tuple(Threat(name, text) for look in _LOOKS for name, text in look(summary, records))


def _threats(look: Look) -> Look:
    """Add threats to the list, at its end."""
    _LOOKS.append(look)
    return look


@_threats
def _of_the_surface(summary: Summary, _: Records) -> Iterator[tuple[str, str]]:
    stack = summary.stack
    if stack.kind != "scan":
        yield (
            "selection",
            f"{how_selected(summary).capitalize()}: rates are those of these rows, and where rows "
            "were chosen for a change, part of them regress to the mean.",
        )
    yield (
        "scoring",
        "Labels come from automated scorers; text changes do not depend on them, a flip's "
        "meaning does. No person has judged these flips here.",
    )
    clusters = summary.clusters
    if clusters.n_clusters < clusters.n_rows:
        yield (
            "clusters",
            f"{clusters.n_rows} rows share {clusters.n_clusters} prompts of a model: what is told "
            "by row treats them as independent, what is told by prompt does not.",
        )
    if stack.device == "cpu":
        yield "hardware", "A CPU stands in for a GPU: nothing here is evidence about a GPU."


@_threats
def _of_the_design(summary: Summary, _: Records) -> Iterator[tuple[str, str]]:
    floors = summary.noise_floor.values()
    if not any(floor.solo for floor in floors):
        yield (
            "no_solo_repeats",
            "No prompt was sent twice alone: change without a batch has not been measured.",
        )
    if not any(floor.batched for floor in floors):
        yield (
            "no_batched_repeats",
            "No batch was sent twice: whether equal batches agree has not been measured.",
        )


@_threats
def _of_the_server(summary: Summary, _: Records) -> Iterator[tuple[str, str]]:
    stack = summary.stack
    kept_out = {policy for policy in CachePolicy if policy.forbids_earlier}
    if stack.prefix_caching not in kept_out and stack.prefix_cache_hits != 0:
        setting = stack.prefix_caching or "not recorded"
        if setting == "server_default":
            setting = "left at the server's default, which is on in recent versions"
        hits = stack.prefix_cache_hits
        taken = f"; {hits:.0f} prompt tokens were taken from it" if hits else ""
        yield (
            "prefix_caching",
            f"Prefix caching is {setting}: a prompt's second request may reuse the first one's "
            f"cache, which alone can change an answer{taken}.",
        )
    if stack.sampling_defaults:
        yield (
            "sampling_defaults",
            "The models' own generation_config.json sets what a request does not "
            f"({'; '.join(stack.sampling_defaults)}); --generation-config vllm leaves it out.",
        )
    if stack.preemptions:
        yield (
            "preemptions",
            f"The servers put {stack.preemptions:.0f} requests back and computed them anew, which "
            "is another path of computation.",
        )
    if stack.async_scheduling != "off":
        setting = stack.async_scheduling or "not recorded"
        yield (
            "async_scheduling",
            f"Asynchronous scheduling ({setting}) makes batch composition depend on timing.",
        )


@_threats
def _of_the_batches(summary: Summary, _: Records) -> Iterator[tuple[str, str]]:
    stack = summary.stack
    if stack.order is None or not ("S2" in stack.order or stack.order == "alternate"):
        yield "order", "The solo answer always came first: order and batch are confounded."
    for mode, seen in summary.witnessed.items():
        if seen.witnessed < seen.rows:
            yield (
                "batch_witness",
                f"{seen.rows - seen.witnessed} of {seen.rows} {mode.words} rows have no witness "
                "that the requests of their batch shared engine steps.",
            )
    if stack.lifetimes is not None and stack.lifetimes <= 1:
        yield (
            "single_lifetime",
            "Each model and mode had one server lifetime: variation from start to start is not "
            "measured.",
        )


@_threats
def _of_the_data(summary: Summary, records: Records) -> Iterator[tuple[str, str]]:
    left_out, errors = summary.pairs.left_out, summary.n_records - summary.n_ok
    if errors or left_out:
        yield (
            "left_out",
            f"{errors} records are errors and {left_out} candidates lack a complete pair; the "
            "paired tests leave them out.",
        )
    batches = sum(entry.batched for entry in summary.retries.values())
    again = batches + sum(entry.solo for entry in summary.retries.values())
    if again:
        yield (
            "retries",
            f"{again} answers needed more than one attempt ({batches} of them batches, sent again "
            "whole).",
        )
    truncated = sum(entry.truncated for entry in summary.retries.values())
    if truncated:
        yield (
            "truncated",
            f"{truncated} records have an answer cut at max_tokens: a later difference is unseen.",
        )
    told = [
        f"{mode.words} solo {unscored_text(solo)}, batched {unscored_text(batched)}"
        for mode in summary.score_pairs
        for solo, batched in [summary.unscored(mode)]
        if solo or batched
    ]
    if told:
        yield "unparsed", f"Some answers are in a state without a score: {'; '.join(told)}."


@_threats
def _of_the_modes(summary: Summary, _: Records) -> Iterator[tuple[str, str]]:
    stack = summary.stack
    solo = summary.cross_mode.solo
    if solo.text_differs.count and solo.prompts:
        prompts, rows = solo.prompts.text_changes, solo.text_differs
        yield (
            "baseline_differs",
            f"The solo answers of {prompts.count}/{prompts.n} prompts ({rows.count}/{rows.n} rows) "
            "differ between the modes: invariant is not the same as standard without a batch.",
        )
    if stack.modes_proven is None:
        yield "modes_not_proven", "No start-up files: which kernels ran is stated, not proven."
    elif not stack.modes_proven:
        yield "modes_not_proven", "Not every server lifetime's kernel path is proven."
    if stack.temperature:
        yield "temperature", f"Temperature {stack.temperature:g}: answers are sampled."
