"""What of a folder is looked at before it is gone on with: its name, and the files of its plan."""

from collections.abc import Mapping
from os.path import lexists
from typing import Any

from harness.conduct.prepare import Prepared
from harness.conduct.progress import RunProgress
from harness.errors import UsageError, shown
from harness.records import (
    CANDIDATES,
    METADATA,
    PROMPT_HASHES,
    RunFolder,
    read_prompts,
    read_selected,
)

_OTHERWISE = (
    "this command asks otherwise than the run did, and writes nothing of it anew: give what it was "
    "started with, which does, or begin a new run (--fresh, or another --run-id)"
)


def insist_on_name(folder: RunFolder) -> None:
    """Refuse a folder that was renamed or copied: it would hold records of two names.

    Raises:
        UsageError: ``metadata.json`` is of a run of another name.
    """
    facts = folder.read(METADATA)
    own = facts and facts.get("run_id")
    if isinstance(own, str) and own != folder.run_id:
        raise UsageError(
            f"this is a renamed or copied folder of the run {shown(own)}, and its name is "
            f"{shown(folder.run_id)}: records of two names do not count",
            file=folder.path,
            hint=f"rename it back, or go on in the run's own folder: --run-id {shown(own)}",
        )


def plan_files(prepared: Prepared) -> Mapping[str, list[dict[str, Any]]]:
    """The rows of the files that tell the plan."""
    prompts = prepared.population.prompts
    return {
        CANDIDATES: [candidate.model_dump(mode="json") for candidate in prepared.candidates],
        PROMPT_HASHES: [{"prompt": p.key, "sha256": p.sha256} for p in prompts],
    }


def mend_plan(prepared: Prepared, folder: RunFolder, progress: RunProgress) -> None:
    """Write the files of the plan anew where they tell another, as a damaged one does.

    They follow from what was given, if that is what the run was planned of.

    Raises:
        UsageError: one is damaged, and another plan is given: only the run's own writes it anew.
    """
    facts = folder.read(METADATA)
    if not facts:
        return
    own = facts.get("fingerprint") == prepared.fingerprint
    prompts = [(prompt.key, prompt.sha256) for prompt in prepared.population.prompts]
    selected = tuple(candidate.key for candidate in prepared.candidates)
    tells = {CANDIDATES: (read_selected, selected), PROMPT_HASHES: (read_prompts, prompts)}
    for name, (read, wanted) in tells.items():
        path = folder.path / name
        try:
            if not lexists(path) or read(path) == wanted:
                continue
        except UsageError as error:
            if not own:
                error.hint = _OTHERWISE
                raise
        if not own:
            continue  # what differs is told by whoever holds the settings against each other
        kept = folder.keep_damaged(name)
        folder.write_rows(name, plan_files(prepared)[name])
        progress.note(f"{name} told another plan and was written anew; what it was is in {kept}")
