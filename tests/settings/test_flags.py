from __future__ import annotations

from typing import Any

import pytest

from harness.errors import UsageError
from harness.settings import apply_flags, flag_of, load_spec, spec_flags, spec_keys


def _one(name: str, *texts: str) -> Any:
    (value,) = apply_flags([(name, text) for text in texts]).values()
    return value


def _error(name: str, *texts: str) -> str:
    with pytest.raises(UsageError) as caught:
        apply_flags([(name, text) for text in texts])
    return str(caught.value)


def test_every_key_of_the_spec_has_a_flag() -> None:
    assert {key.path for key in spec_keys()} <= {flag.path for flag in spec_flags()}


def test_every_flag_name_is_used_once() -> None:
    names = [name for flag in spec_flags() for name in flag.names]
    assert len(names) == len(set(names))


def test_every_flag_says_what_it_is_for() -> None:
    assert [flag.name for flag in spec_flags() if len(flag.help) < 15] == []
    assert [flag.name for flag in spec_flags() if flag.help.startswith(" ")] == []


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("--server-backend", "backend"),
        ("--docker-image", "image"),
        ("--candidate-files", "candidates"),
        ("--request-timeout-s", "request.timeout_s"),
        ("--expected-rows-per-mode", "expect.rows_per_mode"),
        ("--max-model-len", "server.max_model_len"),
        ("--max-tokens", "request.max_tokens"),
        ("--prefix-caching", "controls.prefix_caching"),
    ],
)
def test_a_flag_sets_its_key(name: str, key: str) -> None:
    assert list(apply_flags([(name, "1")])) == [key]


@pytest.mark.parametrize(
    ("name", "texts", "value"),
    [
        ("--port", ["18001"], 18001),
        ("--temperature", ["0.5"], 0.5),
        ("--gpu-memory-utilization", ["1"], 1.0),
        ("--attention-backend", ["none"], None),
        ("--seed", ["none"], None),
        ("--iteration-log", ["on"], True),
        ("--iteration-log", ["false"], False),
        ("--modes", ["standard, batch_invariant"], ["standard", "batch_invariant"]),
        ("--dispatch-modes", ["original"], ["original"]),
        ("--dispatch-modes", ["synchronized,prompt_list"], ["synchronized", "prompt_list"]),
        ("--candidates", ["a.csv", "b.csv,c.csv"], ["a.csv", "b.csv", "c.csv"]),
        ("--extra-args", ["--a 1 --b='x y'"], ["--a", "1", "--b=x y"]),
        ("--env", ["A=1", "B=x=y", "C="], {"A": "1", "B": "x=y", "C": ""}),
        ("--schema-version", ["1"], 1),
    ],
)
def test_the_text_of_a_flag_becomes_a_value(name: str, texts: list[str], value: object) -> None:
    assert _one(name, *texts) == value


def test_a_model_is_a_name_a_place_and_perhaps_a_revision() -> None:
    assert _one("--model", "a=org/a", "b=org/b@0f3c") == [
        {"name": "a", "hf_id": "org/a", "revision": None},
        {"name": "b", "hf_id": "org/b", "revision": "0f3c"},
    ]


def test_url_and_log_of_an_external_server_add_up_in_either_order() -> None:
    pairs = [
        ("--external-log", "standard=a.log"),
        ("--external", "standard=http://h:1"),
        ("--external", "batch_invariant=http://h:2"),
    ]
    expected = {
        "external": {
            "standard": {"url": "http://h:1", "log": "a.log"},
            "batch_invariant": {"url": "http://h:2"},
        }
    }
    assert apply_flags(pairs) == expected
    assert apply_flags(pairs[::-1]) == expected


def test_the_last_of_a_flag_given_twice_wins() -> None:
    assert _one("--port", "1", "2") == 2


def test_an_extra_argument_is_added_to_those_of_the_file() -> None:
    flags = apply_flags([("--extra-arg", "--a"), ("--extra-arg", "-b 2")])
    of_the_file = load_spec("demo-tiny").spec.server.extra_args
    assert of_the_file
    assert load_spec("demo-tiny", flags).spec.server.extra_args == (*of_the_file, "--a", "-b", "2")


def test_extra_args_replace_those_of_the_file_before_more_are_added() -> None:
    flags = apply_flags([("--extra-args", "--x"), ("--extra-arg", "--y")])
    assert load_spec("demo-tiny", flags).spec.server.extra_args == ("--x", "--y")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("--port", "abc", "--port: must be a whole number, not 'abc'"),
        ("--temperature", "hot", "--temperature: must be a number, not 'hot'"),
        ("--iteration-log", "maybe", "--iteration-log: must be on or off, not 'maybe'"),
        ("--model", "org/a", "--model: must be NAME=HF_ID or NAME=HF_ID@REVISION, not 'org/a'"),
        ("--env", "A", "--env: must be NAME=VALUE, not 'A'"),
        ("--extra-args", "'a", '--extra-args: no closing quotation in "\'a"'),
        ("--max-modle-len", "1", "no flag --max-modle-len (did you mean '--max-model-len'?)"),
    ],
)
def test_a_wrong_flag_is_named_as_it_was_typed(name: str, text: str, message: str) -> None:
    assert _error(name, text) == message


def test_the_word_original_alone_is_no_list_of_dispatch_modes() -> None:
    flags = apply_flags([("--dispatch-modes", "original")])
    assert load_spec("demo-tiny", flags).spec.dispatch_modes == "original"


def test_a_wrong_alias_is_named_by_the_alias() -> None:
    assert _error("--request-timeout-s", "x").startswith("--request-timeout-s: ")


@pytest.mark.parametrize(
    "name",
    ["HF_TOKEN", "OPENAI_API_KEY", "APIKEY", "my_password", "AWS_SECRET", "SSH_PRIVATE_KEY"],
)
def test_a_secret_as_a_flag_is_refused_and_not_repeated(name: str) -> None:
    message = _error("--env", f"{name}=canary")
    assert "export it" in message
    assert "canary" not in message


def test_all_wrong_flags_are_told_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        apply_flags([("--port", "x"), ("--prot", "1"), ("--limit", "y")])
    assert len(str(caught.value).splitlines()) == 3


def test_a_key_inside_a_mapping_or_list_is_shown_as_the_flag_that_holds_it() -> None:
    assert flag_of(("server", "env", "A")) == "--env"
    assert flag_of(("models", 0, "hf_id")) == "--model"


def test_one_url_is_a_server_of_one_mode() -> None:
    spec = load_spec("demo-tiny", apply_flags([("--url", "http://there:8000/v1")])).spec
    assert (str(spec.backend), [*map(str, spec.modes)]) == ("external", ["standard"])
    assert [server.url for server in spec.external.values()] == ["http://there:8000"]


def test_one_url_takes_the_mode_and_the_log_that_are_given() -> None:
    flags = [
        ("--url", "http://there:8000"),
        ("--modes", "batch_invariant"),
        ("--external-log", "batch_invariant=server.log"),
    ]
    ((mode, server),) = load_spec("demo-tiny", apply_flags(flags)).spec.external.items()
    assert (str(mode), server.url, server.log) == (
        "batch_invariant",
        "http://there:8000",
        "server.log",
    )


def test_one_url_for_two_modes_is_refused() -> None:
    flags = [("--url", "http://there:8000"), ("--modes", "standard,batch_invariant")]
    with pytest.raises(UsageError, match="the server of one mode"):
        apply_flags(flags)


@pytest.mark.parametrize("flag", ["--modes", "--dispatch-modes", "--candidates", "--askings"])
@pytest.mark.parametrize("nothing", [",", " ", ""])
def test_a_list_of_nothing_is_refused(flag, nothing):
    with pytest.raises(UsageError, match=f"{flag}: nothing is named"):
        apply_flags([(flag, nothing)])
