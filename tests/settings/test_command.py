from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from harness.errors import UsageError
from harness.settings import LoadedSpec, spec_flags, with_spec_flags
from harness.words import BackendName, Mode

from .conftest import SPEC, Write

STUDY = """
--server-backend native --native-command "python -m vllm.entrypoints.openai.api_server"
--candidate-source csv --candidate-files F --modes standard,batch_invariant
--dispatch-modes original --port 18000 --gpu-memory-utilization 0.80 --max-model-len 2048
--startup-timeout-s 900 --request-timeout-s 300 --docker-image vllm/vllm-openai:v0.19.1
--attention-backend FLASH_ATTN
"""


class Verb:
    """A verb with spec flags and one option of its own, and what it was called with."""

    def __init__(self) -> None:
        self.loaded: LoadedSpec | None = None
        self.run_id: str | None = None
        app = typer.Typer(pretty_exceptions_enable=False)

        @app.command()
        @with_spec_flags
        def verb(
            loaded: Any, run_id: Annotated[str | None, typer.Option(help="Its name.")] = None
        ) -> None:
            """Do it."""
            self.loaded, self.run_id = loaded, run_id

        self._app = app

    def __call__(self, *arguments: str) -> LoadedSpec:
        result = CliRunner().invoke(self._app, list(arguments), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert self.loaded is not None
        return self.loaded

    def output(self, *arguments: str) -> tuple[int, str]:
        wide = CliRunner(env={"COLUMNS": "240", "TERMINAL_WIDTH": "240"})
        result = wide.invoke(self._app, list(arguments), catch_exceptions=False)
        return result.exit_code, result.output


def test_the_studys_own_command_line_is_accepted_word_for_word() -> None:
    spec = Verb()(*shlex.split(STUDY)).spec
    assert (spec.backend, spec.candidates) == (BackendName.NATIVE, ("F",))
    assert spec.modes == (Mode.STANDARD, Mode.BATCH_INVARIANT)
    assert spec.image == "vllm/vllm-openai:v0.19.1"
    assert spec.request.timeout_s == 300


def test_without_profile_or_file_the_study_is_the_base() -> None:
    assert Verb()().spec.name == "study-d"


def test_a_profile_and_flags_of_the_verb_itself_go_together() -> None:
    verb = Verb()
    assert (
        verb("--profile", "demo-tiny", "--port", "18044", "--run-id", "x").spec.server.port == 18044
    )
    assert verb.run_id == "x"


def test_a_spec_file_is_read_with_c(write: Write) -> None:
    assert Verb()("-c", str(write("mine.yaml", SPEC))).spec.name == "small"


def test_profile_and_file_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        Verb().output("--profile", "demo-tiny", "-c", str(tmp_path / "x.yaml"))


def test_a_repeatable_flag_may_be_repeated_and_may_hold_dashes() -> None:
    loaded = Verb()("--extra-arg", "--enforce-eager", "--extra-arg", "--seed 0")
    assert loaded.spec.server.extra_args == ("--enforce-eager", "--seed", "0")


def test_an_unknown_flag_suggests_the_nearest_and_exits_2() -> None:
    code, output = Verb().output("--max-modle-len", "5")
    assert code == 2
    assert "--max-model-len" in output


def test_help_names_every_flag() -> None:
    code, output = Verb().output("--help")
    assert code == 0
    shown = [flag for flag in spec_flags() if not flag.hidden]
    assert [name for flag in shown for name in flag.names if name not in output] == []
    assert "--solo-repeats" not in output
    assert "Its name." in output
