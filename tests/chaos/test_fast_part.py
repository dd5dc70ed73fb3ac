"""The part of the chaos campaign that runs with the tests: a fixed seed, few trials of each row."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


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


def test_the_page_tells_of_every_row():
    files = Path(__file__).parent.glob("*.py")
    rows = {
        name for file in files for name in re.findall(r'^@row\("([\w-]+)"', file.read_text(), re.M)
    }
    page = (Path(__file__).parents[2] / "docs/chaos.md").read_text()
    table = page.partition("| row | a trial |")[2].partition("\n\n")[0]
    assert rows
    assert rows <= set(re.findall(r"`([\w-]+)`", table))
