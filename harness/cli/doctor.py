"""``harness doctor``: could a run start here, and if not, what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.settings import with_spec_flags

__all__ = ["register"]

HELP = """Check this machine for a run: engine, GPU, image, disk, port, models.

Exit 3 if something would stop it. Nothing is started, pulled or changed.

\b
  harness doctor --profile study-d
  harness doctor --profile demo --json
  harness doctor -c my_run.yaml --backend native
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("doctor", help=HELP)(_command())


def _command() -> Any:
    @with_spec_flags
    def doctor(
        loaded: Any,
        lock: Annotated[Path, typer.Option(help="The lock file of images.")] = Path(
            "docker/images.lock.yaml"
        ),
        results: Annotated[Path, typer.Option(help="Folder of run folders.")] = Path("results"),
        as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    ) -> None:
        from harness.doctor import Level, judge, probe
        from harness.errors import EnvironmentError_

        checks = judge(probe(loaded.spec, lock=lock, results=results), loaded.spec)
        bad = [check for check in checks if check.level is Level.FAILED]
        if as_json:
            typer.echo(json.dumps({"ok": not bad, "checks": [check.to_json() for check in checks]}))
        else:
            for check in checks:
                typer.echo(str(check))
        if bad:
            raise EnvironmentError_(
                f"{len(bad)} of {len(checks)} checks failed: "
                + ", ".join(check.name for check in bad)
            )

    return doctor
