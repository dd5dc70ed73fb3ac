"""``harness doctor``: could a run start here, and if not, what to do."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.terminal import LOCK, RESULTS, Lock, Results, say, say_json
from harness.settings import LoadedSpec, with_spec_flags


@with_spec_flags
def doctor(
    loaded: LoadedSpec,
    lock: Lock = LOCK,
    results: Results = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Check this machine for a run: engine, GPU, image, disk, port, models.

    Exit 3 if something would stop it. Nothing is started, pulled or changed.

    \b
      harness doctor --profile study-d
      harness doctor --profile demo --json
      harness doctor -c my_run.yaml --backend native
    """
    from harness.jobs import this_machine

    checked = this_machine.check_machine(loaded.spec, lock, results)
    if as_json:
        say_json(checked.to_json())
    else:
        say(checked.checks)
    checked.insist()
