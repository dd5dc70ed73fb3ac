"""How rows were chosen is told as far as they say, and never as more."""

from types import SimpleNamespace

import pytest

from harness.analyse.wider_claims import how_selected


@pytest.mark.parametrize(
    ("directions", "phases", "said"),
    [
        (["up"], ["scan"], "because they had flipped before"),
        ([None], ["scan"], "a scan selected the rows because their answers had changed there"),
        ([None], ["scan", "mine"], "the records do not say"),
        ([None], ["certify"], "the records do not say"),
        ([], [], "the records do not say"),
    ],
)
def test_what_rows_say_of_their_choice(directions, phases, said):
    of = {"original_direction": directions, "phase": phases}
    slices = {name: [SimpleNamespace(value=v) for v in values] for name, values in of.items()}
    assert said in how_selected(SimpleNamespace(breakdowns=SimpleNamespace(**slices)))
