"""A run spec as an earlier run or a case file holds it: checked anew, for anybody wrote it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.errors import UsageError, raise_all
from harness.settings.run_spec import RunSpec
from harness.settings.spec_rules import complaint_of


def kept_spec(told: Mapping[str, Any], file: Path | str) -> RunSpec:
    """The settings that a file holds.

    Raises:
        UsageError: they are of another form, each mistake with its key.
    """
    try:
        return RunSpec.model_validate_json(json.dumps(told))
    except ValidationError as error:
        told_once = {key: told for key, *told in map(complaint_of, error.errors())}
        hint = "it was written by another version, or changed since"
        raise_all(
            [
                UsageError(f"its settings cannot be read: {message}", file=file, hint=hint)
                for message, _ in told_once.values()
            ]
        )
        raise
