"""Finding the image at which the answers change."""

from __future__ import annotations

import csv
import io
import json
import math
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.images import Seen, find_step, image_range, read_image_list
from harness.tasks import load_tasks

ROOT = Path(__file__).parents[2]
LIST = Path("list.txt")


@dataclass
class World:
    """Images numbered from old to new; those from ``step`` on have changed."""

    step: int
    unusable: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        self.asked: list[int] = []

    def observe(self, image: str) -> tuple[Seen, str]:
        number = int(image)
        self.asked.append(number)
        if number in self.unusable:
            return Seen.UNUSABLE, "it does not start"
        return (Seen.CHANGED if number >= self.step else Seen.SAME), "looked"


def _images(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))


@st.composite
def _worlds(draw: st.DrawFn) -> tuple[int, World]:
    count = draw(st.integers(2, 40))
    step = draw(st.integers(1, count - 1))
    unusable = draw(st.frozensets(st.integers(1, count - 2))) if count > 2 else frozenset()
    return count, World(step, unusable)


@given(_worlds())
def test_the_step_lies_between_the_neighbours_that_are_named(world: tuple[int, World]):
    count, known = world
    found = find_step(_images(count), known.observe)
    last_same, first_changed = int(found.last_same), int(found.first_changed)
    assert last_same < known.step <= first_changed
    assert set(map(int, found.between)) == set(range(last_same + 1, first_changed))
    assert set(map(int, found.between)) <= known.unusable


@given(_worlds())
def test_no_image_is_tried_twice(world: tuple[int, World]):
    count, known = world
    find_step(_images(count), known.observe)
    assert len(known.asked) == len(set(known.asked))


@given(st.integers(2, 500), st.data())
def test_as_many_images_are_tried_as_a_bisection_needs(count: int, data: st.DataObject):
    known = World(data.draw(st.integers(1, count - 1)))
    find_step(_images(count), known.observe)
    assert len(known.asked) <= 2 + math.ceil(math.log2(count))


def test_the_ends_are_tried_first():
    known = World(3)
    find_step(_images(9), known.observe)
    assert known.asked[:2] == [0, 8]


def test_an_end_that_has_not_changed_is_refused():
    with pytest.raises(UsageError, match="BAD answers as GOOD: looked"):
        find_step(_images(5), World(99).observe)


@pytest.mark.parametrize(("end", "name"), [(0, "GOOD"), (4, "BAD")])
def test_an_end_that_does_not_run_is_refused(end: int, name: str):
    with pytest.raises(UsageError, match=f"{name} cannot be used: it does not start"):
        find_step(_images(5), World(2, frozenset({end})).observe)


def test_images_that_cannot_be_used_are_named_with_the_result():
    found = find_step(_images(4), World(2, frozenset({1, 2})).observe)
    assert found.between == ("1", "2")
    assert found.lines()[0] == ("the step is at 3, or at an image that could not be used: 1, 2")


def test_every_step_is_told():
    said: list[str] = []
    find_step(_images(3), World(1).observe, log=said.append)
    assert said == [
        "step 1: 0: same, looked",
        "step 2: 2: changed, looked",
        "step 3: 1: changed, looked",
    ]


def test_a_list_has_an_image_a_line_and_comments(tmp_path: Path):
    path = tmp_path / "list.txt"
    path.write_text("# from old to new\na:1\n\n  a:2  # the first of May\n")
    assert read_image_list(path) == ("a:1", "a:2")


@pytest.mark.parametrize(
    ("text", "message"),
    [("a:1\nb:1\na:1\n", r"list\.txt:3: a:1 stands in line 1 too"), ("# none\n", "no image")],
)
def test_a_list_that_makes_no_sense_is_refused_with_its_line(
    tmp_path: Path, text: str, message: str
):
    path = tmp_path / "list.txt"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_image_list(path)


def test_a_missing_list_is_an_input_error(tmp_path: Path):
    with pytest.raises(UsageError, match="no such file"):
        read_image_list(tmp_path / "none.txt")


def test_ends_in_the_list_cut_it():
    assert image_range(("a", "b", "c", "d"), "b", "d", LIST) == ("b", "c", "d")


def test_ends_that_are_not_in_the_list_are_put_around_it():
    assert image_range(("b", "c"), "a", "d", LIST) == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("a", "a", "the same image"),
        ("b", "a", "a stands before b"),
        ("a", "z", "z is not in the list"),
        ("z", "a", "z is not in the list"),
    ],
)
def test_ends_that_make_no_range_are_refused(good: str, bad: str, message: str):
    with pytest.raises(UsageError, match=message):
        image_range(("a", "b"), good, bad, LIST)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def planted(engine: docker.DockerClient) -> Iterator[tuple[str, ...]]:
    """Three images of the real CPU engine. PLANTED: from the second on, a variable of the image
    makes oneDNN and PyTorch choose other kernels, which rounds otherwise."""
    # below its bfloat16 units vLLM's kernels end the engine on a processor with AMX
    amx = "amx_tile" in Path("/proc/cpuinfo").read_text()
    isa, capability = ("AVX512_CORE_BF16", "avx512") if amx else ("AVX2", "default")
    step = f"ENV ONEDNN_MAX_CPU_ISA={isa} ATEN_CPU_CAPABILITY={capability}"
    tags = []
    for number, line in enumerate(("", step, step), 1):
        text = f'FROM harness-vllm-cpu:0.32.0\nLABEL planted="{number}"\n{line}\n'
        tag = f"harness-planted:{number}"
        engine.images.build(fileobj=io.BytesIO(text.encode()), tag=tag, rm=True, forcerm=True)
        tags.append(tag)
    yield tuple(tags)
    for tag in tags:
        engine.images.remove(tag, force=True)


@pytest.fixture(scope="module")
def harness(
    planted: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``harness images VERB ...`` on twelve candidates and the standard path."""
    folder = tmp_path_factory.mktemp("planted")
    population = load_tasks(ROOT / "candidates/population/tasks").prompts
    # the longest answers: the two of a batch meet in a step on a busy machine too
    rows = [prompt for prompt in population if prompt.key.startswith("neighbourly_refusal/")][:12]
    with (folder / "candidates.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(("model", "task_name", "sample_id", "batch_size", "dispatch_mode"))
        table.writerows(
            ("demo-llama", *prompt.key.split("/", 1), 2, "synchronized") for prompt in rows
        )
    (folder / "list.txt").write_text("\n".join(planted))
    common = ["--profile", "demo-tiny", "--modes", "standard", "--port", str(_free_port())]
    common += ["--candidates", str(folder / "candidates.csv"), "--results", str(folder)]
    common += ["--shm-size", "1g", "--max-tokens", "48"]

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "harness", "images", *words, *common]
        return subprocess.run(
            [word.replace("LIST", str(folder / "list.txt")) for word in command],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=1700,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def bisected(harness, planted: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    return harness("bisect", planted[0], planted[2], "--images-from", "LIST", "--json")


@pytest.mark.docker
@pytest.mark.timeout(1800)
def test_the_planted_step_is_found(bisected, planted: tuple[str, ...]):
    assert bisected.returncode == 0, bisected.stderr
    found = json.loads(bisected.stdout)
    assert (found["last_same"], found["first_changed"]) == planted[:2]
    assert found["between"] == []


@pytest.mark.docker
@pytest.mark.timeout(1800)
def test_the_same_bisection_again_starts_no_server(bisected, harness, planted: tuple[str, ...]):
    again = harness("bisect", planted[0], planted[2], "--images-from", "LIST", "--json")
    assert again.stdout == bisected.stdout
    assert "starting the server" in bisected.stderr
    assert "starting the server" not in again.stderr


@pytest.mark.docker
@pytest.mark.timeout(1800)
def test_the_images_on_both_sides_of_the_step_are_compared_from_the_kept_runs(
    bisected, harness, planted: tuple[str, ...]
):
    compared = harness("compare", planted[0], planted[1], "--fail-on", "solo-changes")
    assert compared.returncode == 1, compared.stderr
    assert "starting the server" not in compared.stderr
    assert compared.stdout.startswith("2 environment variables changed\n")
    lines = compared.stdout.splitlines()
    page = next(line.split(maxsplit=1)[1] for line in lines if line.endswith("difference.html"))
    assert "ONEDNN_MAX_CPU_ISA" in Path(page).read_text().replace("<wbr>", "")


@pytest.mark.docker
def test_an_image_is_not_bisected_against_itself(harness, planted: tuple[str, ...]):
    done = harness("bisect", planted[0], planted[0], "--images-from", "LIST")
    assert done.returncode == 2
    assert done.stderr.startswith("error: GOOD and BAD are the same image")
