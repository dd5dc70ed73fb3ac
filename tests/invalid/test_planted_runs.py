"""Planted faults: each is refused by its own check and by no other, and nothing is established."""

from __future__ import annotations

import os
from hashlib import sha256
from random import Random

import pytest
from causes import CAUSES
from stand_in_run import stand_in

from harness.analyse import summarise_run, validate_run
from harness.cli import main
from harness.errors import UsageError

VARIATIONS = int(os.environ.get("VARIATIONS", "3"))
"""Of each cause: three are one for each order of schedules below; `make invalid` takes ten."""
ESTABLISHED = "established"
WHOLE = ("standard_changes", "removes_change", "invariant", "paths_differ", "kernel_path")
OF_THE_PLAN = ("plan_as_recorded", "plan_made_again")
SCHEDULES = (
    ("synchronized", "gated", "staggered"),
    ("gated", "prompt_list", "wide"),
    ("staggered", "wide", "gated"),
)

FAULTS = {name: cause.check for name, cause in CAUSES.items() if not cause.claims}
FIRST_OF_ITS_CHECK = {check: name for name, check in reversed(FAULTS.items())}.values()


def planted(name, variation):
    """A stand-in with the fault of a cause planted: each variation in another run and place."""
    cause = CAUSES[name]
    rows, which = divmod(variation, len(SCHEDULES))
    shape = {"prompts": 12, **cause.shape}
    run = stand_in(**shape | {"prompts": shape["prompts"] + rows, "schedules": SCHEDULES[which]})
    cause.plant(run, Random(f"{name}/{variation}"))
    if cause.check not in OF_THE_PLAN:  # who edits a run writes these anew, and is found elsewhere
        run.replan()
    return run


def established(folder):
    """The claims that the ledger calls established; a file that cannot be read has no ledger."""
    try:
        return {
            claim.claim for claim in summarise_run(folder).claims if claim.status == ESTABLISHED
        }
    except UsageError:
        return set()


def test_the_stand_in_passes_every_check_and_establishes_what_it_shows(tmp_path):
    folder = stand_in(policy="server_default", prompts=24).write(tmp_path / "run")
    assert {str(f.status) for f in validate_run(folder).findings} == {"ok"}
    assert established(folder) >= {"standard_changes", "removes_change", "invariant", "kernel_path"}


def test_there_are_at_least_thirty_causes():
    assert len(CAUSES) >= 30


def content(folder):
    """All that a folder holds, as one hash."""
    files = sorted(folder.iterdir())
    return sha256(b"".join(f.name.encode() + f.read_bytes() for f in files)).hexdigest()


@pytest.mark.parametrize("name", CAUSES)
def test_each_variation_is_refused_by_its_own_check_alone(name, tmp_path, capsys):
    refused, differing = 0, set()
    for variation in range(VARIATIONS):
        folder = planted(name, variation).write(tmp_path / str(variation))
        differing.add(content(folder))
        found, cause = validate_run(folder), CAUSES[name]
        named = {f.check for f in found.findings if str(f.status) == cause.says}
        assert named == {cause.check}, (variation, found.failures, named)
        assert not (cause.claims and found.failures), (variation, found.failures)
        if variation % 9 == 0:  # a ledger takes as long as all checks together
            assert not established(folder) & set(cause.claims or WHOLE), variation
        refused += 1
    assert len(differing) == VARIATIONS
    if CAUSES[name].claims:
        return
    assert not found.ok
    if name in FIRST_OF_ITS_CHECK:  # which the verb says like any other
        with pytest.raises(SystemExit, match="1"):
            main(["validate", str(folder)])
        capsys.readouterr()
    with capsys.disabled():
        print(f"\n{name:52} {CAUSES[name].check:36} {refused} of {VARIATIONS} refused", end=" ")
