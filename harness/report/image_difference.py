"""The difference of two images for people: one `ImageReport`, from the difference's JSON values.

Names, versions and defaults come from inside the images; each format escapes them for itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness import __version__
from harness.report.image_difference_sections import (
    argument_section,
    container_section,
    gaps_section,
    kernel_section,
    mode_section,
    package_section,
    stack_section,
)
from harness.report.model import Banner, Measure, Section

__all__ = ["AnswersPart", "ImageReport", "image_report"]

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AnswersPart:
    """What a comparison of runs on the two images adds.

    Attributes:
        clauses: the runs' difference, a clause a mode.
        nature: what the device's numbers can say; empty for a GPU.
        measures, sections: as the comparison's own report has them.
        page: file name of that report, beside this one.
    """

    clauses: tuple[str, ...]
    banner: Banner
    nature: str
    measures: tuple[Measure, ...]
    sections: tuple[Section, ...]
    page: str


@dataclass(frozen=True, slots=True)
class ImageReport:
    """Everything that a format shows.

    Attributes:
        names: of A and B, as they were asked for.
        clauses: the images' difference in one line, then the answers', a line a mode.
        measures: the counts in large type.
        answers: what the images answered, where they were run.
    """

    names: tuple[str, str]
    clauses: tuple[str, ...]
    measures: tuple[Measure, ...]
    sections: tuple[Section, ...]
    answers: AnswersPart | None
    made_with: str

    @property
    def title(self) -> str:
        """``A against B``."""
        return f"{self.names[0]} against {self.names[1]}"


def image_report(difference: Json, answers: AnswersPart | None = None) -> ImageReport:
    """The report of a difference.

    Args:
        difference: as `harness.images.ImageDifference.to_json` gives it.
        answers: of runs on both images.
    """
    sections = (
        stack_section(difference),
        argument_section(difference),
        mode_section(difference),
        kernel_section(difference),
        package_section(difference),
        container_section(difference),
        gaps_section(difference),
    )
    return ImageReport(
        names=(difference["a"]["image"], difference["b"]["image"]),
        clauses=(str(difference["headline"]), *(answers.clauses if answers else ())),
        measures=_measures(difference),
        sections=tuple(section for section in sections if section is not None),
        answers=answers,
        made_with=f"harness {__version__}",
    )


def _measures(difference: Json) -> tuple[Measure, ...]:
    arguments, kernels = difference["arguments"], difference["kernels"]
    defaults = sum(argument["default_changed"] for argument in arguments)
    came = sum(argument["change"] == "added" for argument in arguments)
    went = sum(argument["change"] == "removed" for argument in arguments)
    other = sum(kernel["change"] != "same" for kernel in kernels)
    module = difference["batch_invariant"]
    present = any(module["sha256"])
    state = ("changed" if module["changed"] else "same") if present else "none"
    return (
        Measure(
            "Packages changed",
            (
                (
                    "Python",
                    str(len(difference["python_packages"])),
                    _split("python_packages", difference),
                ),
                ("system", str(len(difference["os_packages"])), _split("os_packages", difference)),
            ),
            "",
        ),
        Measure(
            "Server arguments",
            (
                ("defaults changed", str(defaults), ""),
                ("added and removed", f"+{came} −{went}", ""),
            ),
            "",
        ),
        Measure(
            "Batch-invariant mode",
            (
                ("module", state, ""),
                ("kernel files", str(other), f"of {len(kernels)} changed"),
            ),
            "",
        ),
    )


def _split(name: str, difference: Json) -> str:
    kinds = [change["change"] for change in difference[name]]
    parts = [(kinds.count(kind), kind) for kind in ("added", "removed")]
    return ", ".join(f"{count} {kind}" for count, kind in parts if count)
