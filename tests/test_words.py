"""The facts that go with the project's words; most of them stand in files that exist already."""

from __future__ import annotations

from harness.words import MODES, PROVEN, DispatchMode, Endpoint, Mode, Verdict


def test_the_standard_mode_comes_first_and_both_have_words():
    assert MODES == (Mode.STANDARD, Mode.BATCH_INVARIANT)
    assert [mode.words for mode in MODES] == ["standard", "batch-invariant"]


def test_each_mode_has_the_verdict_that_proves_it():
    assert [PROVEN[mode] for mode in MODES] == [Verdict.CLEAN, Verdict.ACTIVE]


def test_the_notes_are_those_of_every_metadata_file_so_far():
    assert DispatchMode.SYNCHRONIZED.note == (
        "N concurrent one-prompt requests to /v1/completions, each on a connection of its own "
        "that was warmed just before"
    )
    assert DispatchMode.PROMPT_LIST.note == (
        "one request to /v1/completions with a list of N prompts; answers matched by "
        "choices[].index"
    )


def test_every_dispatch_mode_has_a_note():
    assert all(mode.note for mode in DispatchMode)


def test_a_prompt_list_is_one_request_and_a_synchronized_batch_is_one_for_each_prompt():
    assert DispatchMode.PROMPT_LIST.requests(8) == 1
    assert DispatchMode.SYNCHRONIZED.requests(8) == 8


def test_endpoints_have_words():
    assert [(str(endpoint), endpoint.words) for endpoint in Endpoint] == [
        ("label_flips", "Label flips"),
        ("text_changes", "Text changes"),
    ]
