"""How to run it: the run spec with its profiles, its flags, and every message about a wrong one.

What a person writes is checked here with file and line; what leaves this room is frozen values.
"""

from harness.settings.kept_spec import changed_spec, kept_spec
from harness.settings.loaded_spec import (
    DEFAULT_PROFILE,
    LoadedSpec,
    load_spec,
    profile_names,
    spec_source,
    with_spec_flags,
)
from harness.settings.run_spec import (
    Controls,
    Expect,
    ExternalServer,
    ModelSpec,
    RequestSettings,
    RunSpec,
    ServerSettings,
    spec_keys,
)
from harness.settings.spec_flags import apply_flags, flag_of, spec_flags
from harness.settings.yaml_lines import YamlFile, read_yaml

__all__ = [
    "DEFAULT_PROFILE",
    "Controls",
    "Expect",
    "ExternalServer",
    "LoadedSpec",
    "ModelSpec",
    "RequestSettings",
    "RunSpec",
    "ServerSettings",
    "YamlFile",
    "apply_flags",
    "changed_spec",
    "flag_of",
    "kept_spec",
    "load_spec",
    "profile_names",
    "read_yaml",
    "spec_flags",
    "spec_keys",
    "spec_source",
    "with_spec_flags",
]
