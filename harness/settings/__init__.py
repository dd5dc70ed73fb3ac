"""How to run it: the run spec with its profiles, its flags, and every message about a wrong one.

What a person writes is checked here with file and line; what leaves this room is frozen values.
"""

from harness.settings.command import DEFAULT_PROFILE, spec_source, with_spec_flags
from harness.settings.flags import Flag, apply_flags, flag_of, spec_flags
from harness.settings.layers import profile_names
from harness.settings.load import LoadedSpec, load_spec
from harness.settings.options import (
    STUDY_UNKNOWN,
    UNKNOWN_WORDING,
    is_unknown_option,
    options_of,
    unknown_index,
)
from harness.settings.problems import Problem, nearest, raise_problems, shown
from harness.settings.run_spec import (
    Controls,
    Expect,
    ExternalServer,
    ModelSpec,
    RequestSettings,
    RunSpec,
    ServerSettings,
)
from harness.settings.yaml_file import YamlFile, read_text, read_yaml

__all__ = [
    "DEFAULT_PROFILE",
    "STUDY_UNKNOWN",
    "UNKNOWN_WORDING",
    "Controls",
    "Expect",
    "ExternalServer",
    "Flag",
    "LoadedSpec",
    "ModelSpec",
    "Problem",
    "RequestSettings",
    "RunSpec",
    "ServerSettings",
    "YamlFile",
    "apply_flags",
    "flag_of",
    "is_unknown_option",
    "load_spec",
    "nearest",
    "options_of",
    "profile_names",
    "raise_problems",
    "read_text",
    "read_yaml",
    "shown",
    "spec_flags",
    "spec_source",
    "unknown_index",
    "with_spec_flags",
]
