"""What to run: the run spec with its profiles and flags, candidates, and tasks with their prompts.

Everything a person writes enters here and is checked here, with file and line; what leaves this
room is frozen values that the other rooms need not check again.
"""

from harness.spec.candidate_export import ExportedCandidates, export_candidates, label_flipped
from harness.spec.candidate_files import candidate_hashes, check_candidates, load_candidates
from harness.spec.candidate_rows import DIRECTIONS
from harness.spec.candidate_writing import summary_path, write_candidates
from harness.spec.candidates import Candidate, CandidateKey
from harness.spec.flags import Flag, apply_flags, flag_of, spec_flags
from harness.spec.layers import profile_names
from harness.spec.load import LoadedSpec, load_spec
from harness.spec.problems import Problem, nearest, raise_problems
from harness.spec.run_spec import (
    Controls,
    Expect,
    ExternalServer,
    ModelSpec,
    RequestSettings,
    RunSpec,
    ServerSettings,
)
from harness.spec.task_files import SCORERS, TASK_TYPES, load_task, load_tasks, render, task_files
from harness.spec.tasks import Population, Prompt, Sample, Task
from harness.spec.yaml_file import YamlFile, read_yaml

__all__ = [
    "DIRECTIONS",
    "SCORERS",
    "TASK_TYPES",
    "Candidate",
    "CandidateKey",
    "Controls",
    "Expect",
    "ExportedCandidates",
    "ExternalServer",
    "Flag",
    "LoadedSpec",
    "ModelSpec",
    "Population",
    "Problem",
    "Prompt",
    "RequestSettings",
    "RunSpec",
    "Sample",
    "ServerSettings",
    "Task",
    "YamlFile",
    "apply_flags",
    "candidate_hashes",
    "check_candidates",
    "export_candidates",
    "flag_of",
    "label_flipped",
    "load_candidates",
    "load_spec",
    "load_task",
    "load_tasks",
    "nearest",
    "profile_names",
    "raise_problems",
    "read_yaml",
    "render",
    "spec_flags",
    "summary_path",
    "task_files",
    "write_candidates",
]
