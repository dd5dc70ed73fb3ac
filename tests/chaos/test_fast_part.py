"""The part of the chaos campaign that runs with the tests: a fixed seed, few trials of each row."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from harness.cli.app import app
from tests.chaos import __main__, verbs  # noqa: F401 - the rows
from tests.chaos.campaign import ROWS


@pytest.mark.timeout(290)
def test_no_trial_of_the_fast_part_of_the_campaign_breaks_an_invariant(tmp_path):
    # its `harness clean` would remove what tests of containers beside it leave on purpose
    environment = os.environ | {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    command = [sys.executable, "-m", "tests.chaos", "--fast", "--seed", "1"]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "results.json")],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def verbs_of(group, before=()):
    """Every verb of the command, the hidden ones too, in full."""
    for name, command in group.commands.items():
        if getattr(command, "commands", None):
            if command.invoke_without_command:
                yield " ".join((*before, name))
            yield from verbs_of(command, (*before, name))
        else:
            yield " ".join((*before, name))


def test_every_verb_has_a_row_that_calls_it_or_a_reason_for_none():
    found = sorted(verbs_of(typer.main.get_command(app)))
    assert found == sorted([*verbs.PLAYED, *verbs.PLAYED_BY_NONE])
    for verb, rows in verbs.PLAYED.items():
        assert rows
        for name in rows:
            source = Path(inspect.getsourcefile(ROWS[name].trial)).read_text()
            assert all(f'"{word}"' in source for word in verb.split()), verb


def test_the_page_tells_of_every_row():
    files = Path(__file__).parent.glob("*.py")
    rows = {
        name for file in files for name in re.findall(r'^@row\("([\w-]+)"', file.read_text(), re.M)
    }
    page = (Path(__file__).parents[2] / "docs/chaos.md").read_text()
    table = page.partition("| row | a trial |")[2].partition("\n\n")[0]
    assert rows
    assert rows <= set(re.findall(r"`([\w-]+)`", table))
