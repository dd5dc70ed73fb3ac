"""What a program inside an image prints is a stranger's text: bounded, checked, or noted."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.images.inventory.said import read_contents, read_help
from harness.images.reference import image_config
from harness.secrets import REDACTED

SHA = "a" * 64
HELP = """\
usage: api_server.py [-h] [--headless] [--max-model-len MAX_MODEL_LEN]

options:
  --headless            Run in headless mode. (default: False)
  -h, --help            show this help message and exit

ModelConfig:
  Configuration for the model.

  --max-model-len MAX_MODEL_LEN
                        Model context length. Unspecified, it is read from
                        the model. (default: None)
  --dtype {auto,bfloat16,float16}
                        Data type. (default:
                        auto)
  --enforce-eager, --no-enforce-eager
                        Always use eager mode. (default: False)
  --api-server-count API_SERVER_COUNT, -asc API_SERVER_COUNT
                        How many processes.
"""


def _said(**sections: object) -> str:
    whole = {
        "python": {"version": "3.12.1", "executable": "/usr/bin/python3", "os": "Debian"},
        "os_packages": {"format": "dpkg", "packages": {"bash": "5.2"}},
        "python_packages": {"torch": "2.11.0"},
        "plugins": [],
        "torch": {"version": "2.11.0", "cuda": "13.0"},
        "vllm": {"version": "0.20.2", "package": "vllm"},
        "batch_invariant": None,
        "kernels": [{"path": "vllm/_C.abi3.so", "sha256": SHA, "size_bytes": 7}],
        "arguments": {"source": "parser", "arguments": [], "reasons": []},
    }
    rows = [{"section": name, "value": value} for name, value in (whole | sections).items()]
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def _argument(flag: str, default: object) -> dict[str, object]:
    return {"flags": [flag], "default": default, "choices": None, "kind": "StoreAction"}


def test_a_whole_answer_leaves_no_note():
    contents = read_contents(_said())
    assert contents.notes == ()
    assert contents.torch is not None
    assert contents.torch.cuda == "13.0"
    assert contents.kernels[0].size_bytes == 7


def test_a_section_that_failed_inside_says_why():
    text = _said() + json.dumps({"section": "late", "value": 1})
    broken = text.replace(
        '{"section": "torch", "value": {"version": "2.11.0", "cuda": "13.0"}}',
        '{"section": "torch", "error": "OSError: disk"}',
    )
    contents = read_contents(broken)
    assert contents.torch is None
    assert contents.notes == ("torch: OSError: disk",)


def test_what_was_said_before_a_crash_counts():
    first = _said().splitlines()[0]
    contents = read_contents(first, ("the program ended with exit code 139",))
    assert contents.python is not None
    assert "vllm: not said" in contents.notes
    assert contents.notes[0] == "the program ended with exit code 139"


def test_lines_that_an_image_prints_in_between_are_passed_over():
    noise = 'hello\n[1, 2]\n{"section": 7}\n' + "[" * 100_000 + "\n"
    assert read_contents(noise + _said()).notes == ()


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("python_packages", {"torch": 3}),
        ("python_packages", {"x" * 2000: "1"}),
        ("python_packages", {f"p{i}": "1" for i in range(20_001)}),
        ("kernels", [{"path": "x", "sha256": "zz", "size_bytes": 1}]),
        ("kernels", [{"path": "x", "sha256": SHA, "size_bytes": -1}]),
        ("torch", "2.11"),
        ("vllm", {"version": ["0", "20"]}),
    ],
)
def test_a_section_out_of_bounds_is_left_out_and_noted(section: str, value: object):
    contents = read_contents(_said(**{section: value}))
    assert not getattr(contents, section)
    assert contents.notes[0].startswith(f"{section}: does not have the expected form")


def test_the_first_answer_of_a_section_counts():
    text = _said() + _said(torch={"version": "9.9"})
    torch = read_contents(text).torch
    assert torch is not None
    assert torch.version == "2.11.0"


def test_the_modules_source_is_read_and_not_kept():
    module = {
        "path": "vllm/b.py",
        "sha256": SHA,
        "size_bytes": 9,
        "source": 'def enable_batch_invariant_mode():\n    l.impl("aten::mm", f, "CUDA")\n',
    }
    found = read_contents(_said(batch_invariant=module)).batch_invariant
    assert found is not None
    assert [effect.name for effect in found.effects] == ["aten::mm"]
    assert not hasattr(found, "source")


def test_a_module_that_is_not_python_keeps_its_hash_and_says_so():
    module = {"path": "vllm/b.py", "sha256": SHA, "size_bytes": 9, "source": "def ("}
    found = read_contents(_said(batch_invariant=module)).batch_invariant
    assert found is not None
    assert found.sha256 == SHA
    assert found.note == "not readable as Python: SyntaxError"


def test_a_default_of_a_key_that_the_images_environment_set_is_not_kept():
    arguments = [_argument("--api-key", "s3cret"), _argument("--port", 8000)]
    value = {"source": "parser", "arguments": arguments, "reasons": []}
    read = read_contents(_said(arguments=value)).arguments.by_name()
    assert read["--api-key"].default == REDACTED
    assert read["--port"].default == 8000


def test_a_tokenizer_is_no_token():
    arguments = [_argument("--tokenizer-mode", "auto")]
    value = {"source": "parser", "arguments": arguments, "reasons": []}
    read = read_contents(_said(arguments=value)).arguments.by_name()
    assert read["--tokenizer-mode"].default == "auto"
    shown = _config(Env=["TOKENIZERS_PARALLELISM=false"]).environment
    assert shown == {"TOKENIZERS_PARALLELISM": "false"}


def test_an_absent_key_is_shown_as_absent():
    value = {"source": "parser", "arguments": [_argument("--api-key", None)], "reasons": []}
    assert read_contents(_said(arguments=value)).arguments.by_name()["--api-key"].default is None


def test_arguments_come_from_the_printed_help_where_the_parser_fails():
    value = {"source": "help", "help": HELP, "reasons": ["vllm.x: ImportError: gone"]}
    arguments = read_contents(_said(arguments=value)).arguments
    assert arguments.source == "help"
    assert arguments.reasons == ("vllm.x: ImportError: gone",)
    assert set(arguments.by_name()) == {
        "--headless",
        "--max-model-len",
        "--dtype",
        "--enforce-eager",
        "--api-server-count",
    }


def test_help_gives_defaults_choices_and_aliases():
    found = {argument.name: argument for argument in read_help(HELP)}
    assert found["--dtype"].default == "auto"
    assert found["--dtype"].choices == ["auto", "bfloat16", "float16"]
    assert found["--api-server-count"].flags == ("--api-server-count", "-asc")
    assert found["--api-server-count"].default is None
    assert found["--enforce-eager"].kind == "BooleanOptionalAction"


def test_a_flag_in_the_words_about_another_is_not_its_spelling():
    (found,) = read_help("  --parser {a,b} or a name in --parser-plugin\n      Which one.\n")
    assert found.flags == ("--parser",)


def test_no_help_is_no_argument_and_no_source():
    value = {"source": "help", "help": None, "reasons": ["--help: exit 1"]}
    arguments = read_contents(_said(arguments=value)).arguments
    assert (arguments.source, arguments.arguments) == (None, ())


@given(st.text(max_size=300))
def test_any_text_is_read_without_an_error(text: str):
    assert read_contents(text).notes


def _config(**config: object):
    """An image of two layers, of which the step in ``made`` made the upper one."""
    made = config.pop("made", "COPY a b")
    return image_config(
        {"Id": "sha256:1", "Config": config, "RootFS": {"Layers": ["sha256:2", "sha256:3"]}},
        [{"CreatedBy": made, "Size": 1}, {"CreatedBy": "ADD base /", "Size": 9}],
    )


@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "OPENAI_API_KEY", "apikey"]
)
def test_a_variable_with_a_secrets_name_loses_its_value(name: str):
    environment = _config(Env=[f"{name}=x", "PATH=/bin"]).environment
    assert environment == {name: REDACTED, "PATH": "/bin"}


def test_a_label_named_authors_is_no_secret():
    label = {"org.opencontainers.image.authors": "vLLM"}
    assert _config(Labels=label).labels == label


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("RUN HF_TOKEN=abc pip install x", f"RUN HF_TOKEN={REDACTED} pip install x"),
        ("pip -i https://me:pw@host/simple", f"pip -i https://{REDACTED}@host/simple"),
        ("RUN T hf_" + "a" * 30, f"RUN T {REDACTED}"),
        ("|1 TORCH_CUDA_ARCH_LIST=9.0 /bin/sh", "|1 TORCH_CUDA_ARCH_LIST=9.0 /bin/sh"),
        ("RUN export API_KEY=$KEY", "RUN export API_KEY=$KEY"),
        ("RUN PASSWORD='a b' x", f"RUN PASSWORD={REDACTED} x"),
    ],
)
def test_a_build_step_is_shown_without_its_secrets(text: str, shown: str):
    assert [layer.created_by for layer in _config(made=text).layers] == ["ADD base /", shown]


def test_a_key_on_the_command_line_of_an_image_is_not_shown():
    config = _config(Entrypoint=["vllm", "serve", "--api-key"], Cmd=["hunter2", "--port", "1"])
    assert config.entrypoint == ("vllm", "serve", "--api-key")
    assert config.command == (REDACTED, "--port", "1")
