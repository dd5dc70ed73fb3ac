"""Files beside a run's records that a test writes, with the checksum of what is in them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.records import sealed


def seal(path: Path, value: dict[str, Any]) -> None:
    """Write an object as a run would, so that what it tells is refused and not its checksum."""
    path.write_text(json.dumps(sealed(value)), "utf-8")


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Have ``change`` change what a file tells, and seal it anew."""
    told = json.loads(path.read_text("utf-8"))
    change(told)
    seal(path, told)
