"""A run spec from a profile or a YAML file, with flags on top.

A later layer wins key by key; lists are replaced whole. Every mistake names the file and line, or
the flag, that it came from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.settings.checks import spec_findings
from harness.settings.complaints import finding
from harness.settings.layers import Layer, file_layers, is_profile, locate, merged, override_layer
from harness.settings.problems import Problem, raise_problems
from harness.settings.run_spec import RunSpec
from harness.settings.yaml_file import KeyPath

__all__ = ["LoadedSpec", "load_spec"]


@dataclass(frozen=True, slots=True)
class LoadedSpec:
    """A checked run spec and where it came from.

    Attributes:
        spec: every key with its value, defaults included.
        given: only what the file, what it extends, and the flags said.
        file: the profile or YAML file, as it was named.
    """

    spec: RunSpec
    given: dict[str, Any]
    file: str


def load_spec(source: str | Path, overrides: Mapping[str, object] | None = None) -> LoadedSpec:
    """Read, merge and check a run spec.

    Args:
        source: the name of a shipped profile, or the path of a YAML file.
        overrides: what the flags said, by dotted key (``{"server.port": 18001}``), as
            `harness.settings.flags.apply_flags` gives it. Mappings are merged, lists replace.

    Raises:
        UsageError: every mistake found, each with file and line or the flag, and what is allowed.
    """
    layers = file_layers(source)
    given: dict[str, Any] = {}
    for layer in layers:
        given = merged(given, layer.data)
    layers.append(override_layer(overrides or {}, given))
    given = merged(given, layers[-1].data)
    spec = _validated(given, layers)
    raise_problems([locate(layers, *item) for item in spec_findings(spec)])
    return LoadedSpec(spec, given, f"{source} (profile)" if is_profile(source) else str(source))


def _validated(given: dict[str, Any], layers: list[Layer]) -> RunSpec:
    """The model of the data, by JSON's rules: a quoted number is text, and true is no number."""
    try:
        return RunSpec.model_validate_json(json.dumps(given), strict=True)
    except ValidationError as error:
        problems: dict[KeyPath, Problem] = {}
        for details in error.errors():
            key, message, hint = finding(details)
            problems.setdefault(key, locate(layers, key, message, hint))
        raise_problems(sorted(problems.values(), key=_by_line))
        raise AssertionError("unreachable: a validation error has details") from error


def _by_line(problem: Problem) -> tuple[bool, int]:
    """Files before flags, and from top to bottom."""
    return problem.line is None, problem.line or 0
