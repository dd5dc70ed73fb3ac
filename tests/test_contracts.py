"""What the import contract cannot say, read off the source: faces, writers, secret words, plans."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

HARNESS = Path(__file__).parents[1] / "harness"
SOURCES = sorted(HARNESS.rglob("*.py"))

WRITERS = {
    "harness.files",
    "harness.conduct.logbook",
    "harness.serve.docker.log_follower",
    "harness.serve.log_files",
    "harness.serve.native",
}
"""Modules outside of ``records`` that may open a file for writing: `harness.files`, and logs."""


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module_of(path: Path) -> str:
    parts = path.relative_to(HARNESS.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in SOURCES}
APPLICATIONS = {m for m in MODULES if m.count(".") == 1 or m.startswith("harness.jobs.")}
FACES = {name for name, path in MODULES.items() if path.name == "__init__.py"}


def imports(path: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each module of ours that is imported, with the names taken from it; deferred ones too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("harness"):
            yield str(node.module), tuple(alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (
                (alias.name, ()) for alias in node.names if alias.name.startswith("harness")
            )


def room(module: str) -> str:
    """``harness.serve.docker.logs`` -> ``harness.serve``; a module of the ground is its own."""
    return ".".join(module.split(".")[:2])


def past_faces() -> set[tuple[str, str]]:
    return {
        (module, imported)
        for module, path in MODULES.items()
        for imported, _ in imports(path)
        if room(imported) != room(module) and imported not in FACES and imported.count(".") > 1
    }


def test_nobody_imports_past_a_face():
    assert past_faces() == set()


def test_a_name_that_is_imported_from_a_face_is_on_it():
    """Or it is a room, a module of the ground, or one of ``jobs``, each an application."""
    wrong = {
        (module, imported, name)
        for module, path in MODULES.items()
        for imported, names in imports(path)
        if imported in FACES and room(imported) != room(module)
        for name in names
        if name not in public(imported) and f"{imported}.{name}" not in APPLICATIONS
    }
    assert wrong == set()


@cache
def public(face: str) -> frozenset[str]:
    """``__all__``, and what a face defines itself, such as a version."""
    found: set[str] = set()
    for node in tree(MODULES[face]).body:
        if isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
            if "__all__" in found and isinstance(node.value, ast.List):
                found |= {str(ast.literal_eval(item)) for item in node.value.elts}
    return frozenset(found)


def opens_for_writing(path: Path) -> Iterator[int]:
    """Lines on which a file is opened, or written as a whole, in any way but by `harness.files`."""
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.Call):
            continue
        name = (
            node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        )
        given = [*node.args, *(item.value for item in node.keywords if item.arg == "mode")]
        modes = {item.value for item in given if isinstance(item, ast.Constant)}
        writes = any(isinstance(m, str) and len(m) < 4 and set(m) & set("wax+") for m in modes)
        if name in WHOLE_WRITES or (name == "open" and writes) or saves_a_table(node):
            yield node.lineno


WHOLE_WRITES = {"write_text", "write_bytes", "copyfile", "copy2", "copytree", "savefig"}


def saves_a_table(call: ast.Call) -> bool:
    """Whether pandas writes a frame into a file; where none is named it gives text or bytes."""
    name = getattr(call.func, "attr", "")
    target = [*call.args, *(item for item in call.keywords if "path" in (item.arg or ""))]
    return name in {"to_parquet", "to_csv", "to_json", "to_excel", "to_pickle"} and bool(target)


def test_files_are_written_in_one_place():
    """A log follower copies a stream that another program writes."""
    found = {
        module
        for module, path in MODULES.items()
        if any(opens_for_writing(path)) and room(module) != "harness.records"
    }
    assert found == WRITERS


SECRET_WORDS = ("api_key", "apikey", "api_?key", "password", "secret", "credential")


def test_only_one_module_knows_what_a_secret_is_called():
    """A list or a pattern of such words is a notion of a secret of its own."""
    found = {
        module
        for module, path in MODULES.items()
        for text in map(str.lower, strings(path))
        if text in SECRET_WORDS or ("|" in text and any(word in text for word in SECRET_WORDS))
    }
    assert found == {"harness.secrets"}


def strings(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("name", ["build_plan"])
def test_only_the_conductor_makes_a_plan(name: str):
    """So that `harness plan` is what `harness run` would do."""
    users = {
        module
        for module, path in MODULES.items()
        for _, names in imports(path)
        if name in names and room(module) != "harness.plan"
    }
    assert users == {"harness.conduct.prepare"}


def test_every_verb_is_imported_by_name_and_registered():
    app = {getattr(node, "id", "") for node in ast.walk(tree(HARNESS / "cli/app.py"))}
    files = set((HARNESS / "cli").glob("*.py"))
    verbs = {path for path in files if path.stem.endswith("_verbs")}
    assert {path.stem for path in files - verbs} == {"__init__", "app", "misuse", "terminal"}
    for path in verbs:
        for node in tree(path).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("typer.Typer("):
                assert ast.unparse(node.targets[0]) in app, f"a group of {path.name}"
            elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                told = any(".command(" in ast.unparse(item) for item in node.decorator_list)
                assert told or node.name in app, f"{node.name} of {path.name} is not registered"


def test_a_list_of_verbs_waits_for_none_of_the_heavy_libraries():
    heavy = ("pydantic", "yaml", "pandas", "scipy", "docker", "jinja2", "httpx", "structlog")
    look = f"import sys, harness.cli; print(*(n for n in {heavy} if n in sys.modules))"
    command = [sys.executable, "-c", look]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "\n"


def test_the_numbers_of_a_run_wait_for_no_scorer_and_no_spec():
    """Nor for `scipy.optimize`: a small run's summary takes less time than to import these."""
    heavy = ("harness.score", "harness.tasks", "harness.settings", "scipy.optimize", "scipy.stats")
    look = f"import sys, harness.jobs.run_numbers; print(*(n for n in {heavy} if n in sys.modules))"
    command = [sys.executable, "-c", look]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "\n"


STRUCTS = {
    "summary",
    "validation",
    "record",
    "answer",
    "flip",
    "claim",
    "threat",
    "paired",
    "stack",
}
"""What a value of a struct of ours is called: it has attributes, and a typo in one is an error."""


def pried_open(path: Path) -> Iterator[tuple[str, int]]:
    """Where a summary, a validation or a record is read as a dict: ``x.get("k")``, ``x["k"]``."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner, key = node.func.value, node.args[0] if node.args else None
            reads = node.func.attr == "get"
        elif isinstance(node, ast.Subscript):
            owner, key, reads = node.value, node.slice, True
        else:
            continue
        named = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
        literal = isinstance(key, ast.Constant) and isinstance(key.value, str)
        if reads and literal and named in STRUCTS:
            yield named, node.lineno


def test_summaries_and_records_are_values_and_not_dicts():
    found = {(module, name) for module, path in MODULES.items() for name, _ in pried_open(path)}
    assert found == DICTS


def test_reading_a_record_as_a_dict_is_seen(tmp_path: Path):
    code = tmp_path / "code.py"
    code.write_text('record.get("mode")\nrun.summary["n_ok"]\nspec.get("mode")\nrecord[name]\n')
    assert list(pried_open(code)) == [("record", 1), ("summary", 2)]


DICTS = {
    ("harness.score.rescore", "record"),
    ("harness.score.rescore", "answer"),
    ("harness.score.profile_comparison", "record"),
    ("harness.report.run_report", "record"),
}
"""A row is scored anew with all that stands in it, also with what the harness does not know."""
