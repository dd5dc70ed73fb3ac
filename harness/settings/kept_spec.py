"""A run spec that no loader read: a run or a case file holds it, or a job changed some of its keys.

It is held to the same rules as what a person writes, for anybody may have written it.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.errors import UsageError, raise_all
from harness.settings.run_spec import RunSpec
from harness.settings.spec_rules import complaint_of, complaints_about


def kept_spec(told: Mapping[str, Any], file: Path | str) -> RunSpec:
    """The settings that a file holds.

    Raises:
        UsageError: they are of another form, each mistake with its key.
    """
    try:
        return RunSpec.model_validate_json(json.dumps(told))
    except ValidationError as error:
        raise_all(list(_mistakes(error, file)))
        raise


def changed_spec(spec: RunSpec, changes: Mapping[str, Any], what: str) -> RunSpec:
    """A spec with some of its keys replaced.

    Raises:
        UsageError: that is no spec, or one that contradicts itself; ``what`` changed it.
    """
    changed = spec.model_copy(update=dict(changes))
    try:
        changed = RunSpec.model_validate_json(changed.model_dump_json(warnings=False))
    except ValidationError as error:
        raise_all(list(_mistakes(error, what)))
        raise
    rules = complaints_about(changed)
    raise_all([UsageError(message, file=what, hint=hint) for _, message, hint in rules])
    return changed


def _mistakes(error: ValidationError, where: Path | str) -> Iterator[UsageError]:
    """Each complaint once: those about one key are forms of one."""
    found = {key: (message, hint) for key, message, hint in map(complaint_of, error.errors())}
    unknown = [
        ".".join(map(str, one["loc"])) for one in error.errors() if one["type"] == "extra_forbidden"
    ]
    if len(unknown) == len(found):
        what = f"its settings are of another version of the harness: {', '.join(unknown)}"
        step = "report, validate and summarize read it; this verb needs a run of this version"
        yield UsageError(what, file=where, hint=step)
        return
    for message, hint in found.values():
        yield UsageError(message, file=where, hint=hint)
