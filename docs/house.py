"""What the house measures: lines, files, functions and names, room by room.

    python docs/house.py            a table of every room and the bounds that CI holds
    python docs/house.py --check    exit 1 where a bound is broken
    python docs/house.py --once R   the functions of room R that have one caller, to read them
    python docs/house.py --svg F    the picture of docs/architecture.md, drawn from the imports

A function has *one caller* where its name is used once outside its own body in its own file, and
nowhere else in the package. Templates, style sheets and scripts count as lines, not as functions.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).resolve().parent.parent / "harness"
TEMPLATES = {".j2", ".css", ".js"}
MOST_LINES, MOST_FILES, LONGEST = 26_000, 200, 400
LONGEST_P90, MOST_ONCE, MOST_SHARED = 25, 0.15, 10


@dataclass(slots=True)
class Module:
    """One file: its lines, its functions' lengths, and those with one caller."""

    path: Path
    lines: int
    lengths: list[int] = field(default_factory=list)
    once: list[str] = field(default_factory=list)

    @property
    def room(self) -> str:
        """The folder below ``harness``; the ground floor for a file in ``harness`` itself."""
        parts = self.path.relative_to(ROOT).parts
        return parts[0] if len(parts) > 1 else "(ground)"


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _uses(tree: ast.AST) -> Counter[str]:
    """How often each name is read, as a name, an attribute or an import."""
    names: Counter[str] = Counter()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            names[node.id] += 1
        elif isinstance(node, ast.Attribute):
            names[node.attr] += 1
        elif isinstance(node, ast.ImportFrom):
            names.update(alias.name for alias in node.names)
    return names


def measure() -> list[Module]:
    """Every file of the package."""
    files = sorted(path for path in ROOT.rglob("*") if path.suffix in {".py", *TEMPLATES})
    trees = {path: ast.parse(path.read_text("utf-8")) for path in files if path.suffix == ".py"}
    uses = {path: _uses(tree) for path, tree in trees.items()}
    total: Counter[str] = Counter()
    for names in uses.values():
        total.update(names)
    modules = []
    for path in files:
        module = Module(path, len(path.read_text("utf-8").splitlines()))
        for node in _functions(trees[path]) if path in trees else ():
            module.lengths.append((node.end_lineno or node.lineno) - node.lineno + 1)
            inside = _uses(node)[node.name]
            here = uses[path][node.name] - inside
            decorated = any(not _is_plain(d) for d in node.decorator_list)
            private = node.name.startswith("_") and not node.name.startswith("__")
            elsewhere = 0 if private else total[node.name] - inside - here
            if here == 1 and not elsewhere and not decorated:
                module.once.append(f"{node.name}:{node.lineno} ({module.lengths[-1]} lines)")
        modules.append(module)
    return modules


def _is_plain(decorator: ast.expr) -> bool:
    """Decorators that leave a function to its callers; others (a verb, a fixture) call it."""
    name = decorator.func if isinstance(decorator, ast.Call) else decorator
    last = name.attr if isinstance(name, ast.Attribute) else getattr(name, "id", "")
    return last in {"staticmethod", "classmethod", "property", "cache", "contextmanager"}


def _row(name: str, modules: list[Module]) -> str:
    lengths = [length for module in modules for length in module.lengths]
    once = sum(len(module.once) for module in modules)
    longest = max(module.lines for module in modules)
    middle = median(lengths) if lengths else 0
    p90 = quantiles(lengths, n=10)[-1] if len(lengths) > 1 else 0
    share = once / len(lengths) if lengths else 0
    return (
        f"{name:<12}{len(modules):>6}{sum(m.lines for m in modules):>8}{longest:>9}"
        f"{len(lengths):>11}{middle:>8.0f}{p90:>6.0f}{once:>6} = {share:>5.1%}"
    )


def _shared(modules: list[Module]) -> dict[str, list[Path]]:
    names = defaultdict(list)
    for module in modules:
        if module.path.suffix == ".py" and module.path.name != "__init__.py":
            names[module.path.name].append(module.path)
    return {name: paths for name, paths in names.items() if len(paths) > 1}


def bounds(modules: list[Module]) -> list[tuple[str, float, float]]:
    """``(what, found, most)`` for every bound."""
    lengths = [length for module in modules for length in module.lengths]
    code = [module for module in modules if module.path.suffix == ".py"]
    return [
        ("lines", sum(m.lines for m in modules), MOST_LINES),
        ("files", len(modules), MOST_FILES),
        ("longest module", max(m.lines for m in code), LONGEST),
        ("function p90, lines", quantiles(lengths, n=10)[-1], LONGEST_P90),
        ("functions with one caller", sum(len(m.once) for m in code) / len(lengths), MOST_ONCE),
        ("files that share a name", sum(map(len, _shared(modules).values())), MOST_SHARED),
    ]


def imports() -> dict[str, set[str]]:
    """Which rooms each room imports, the ground floor as one; deferred imports count too."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in (path for path in ROOT.rglob("*.py") if path.name != "__main__.py"):
        room = Module(path, 0).room
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("harness"):
                parts = [*(node.module or "").split(".")[1:], *(a.name for a in node.names)]
                target = parts[0] if (ROOT / parts[0]).is_dir() else "(ground)"
                found[room] |= {target} - {room}
    return dict(found)


def layers(arrows: dict[str, set[str]]) -> dict[str, int]:
    """The height of each room: one above the highest that it imports; 0 imports nothing.

    Raises:
        SystemExit: the arrows run in a circle.
    """
    height: dict[str, int] = {}

    def climb(room: str, below: tuple[str, ...]) -> int:
        if room in below:
            raise SystemExit(f"a circle: {' -> '.join((*below, room))}")
        if room not in height:
            targets = arrows.get(room, set())
            height[room] = max((climb(t, (*below, room)) + 1 for t in targets), default=0)
        return height[room]

    for room in arrows:
        climb(room, ())
    return height


def _reachable(arrows: dict[str, set[str]], room: str) -> set[str]:
    direct = arrows.get(room, set())
    return direct.union(*(_reachable(arrows, target) for target in direct))


def picture() -> str:
    """The rooms as an SVG, importers above; an arrow that a longer way implies is left out."""
    arrows = imports()
    height = layers(arrows)
    lines = Counter[str]()
    for module in measure():
        lines[module.room] += module.lines
    rows = [sorted(r for r in height if height[r] == h) for h in range(max(height.values()) + 1)]
    width, step = max(map(len, rows)) * 150 + 20, 66
    top = len(rows) * step
    at = {
        room: (width / 2 + (i - (len(row) - 1) / 2) * 150, top - 36 - level * step)
        for level, row in enumerate(rows)
        for i, room in enumerate(row)
    }
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top + 10}" '
        'font-family="system-ui, sans-serif" font-size="13" text-anchor="middle">',
        f'<rect width="{width}" height="{top + 10}" fill="#fff"/>',
    ]
    for room, targets in sorted(arrows.items()):
        implied = set().union(*(_reachable(arrows, target) for target in targets))
        for target in sorted(targets - implied):
            (x1, y1), (x2, y2) = at[room], at[target]
            parts.append(
                f'<path d="M{x1:.0f} {y1 + 20:.0f} C{x1:.0f} {y1 + 50:.0f} {x2:.0f} '
                f'{y2 - 50:.0f} {x2:.0f} {y2 - 20:.0f}" fill="none" stroke="#8aa"/>'
            )
    for room, (x, y) in sorted(at.items()):
        parts += [
            f'<rect x="{x - 65:.0f}" y="{y - 20:.0f}" width="130" height="40" rx="6" '
            'fill="#eef4f4" stroke="#477"/>',
            f'<text x="{x:.0f}" y="{y - 2:.0f}">{room.strip("()")}</text>',
            f'<text x="{x:.0f}" y="{y + 13:.0f}" font-size="10" fill="#566">'
            f"{lines[room]:,} lines</text>",
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> int:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="exit 1 where a bound is broken")
    parser.add_argument("--once", metavar="ROOM", help="list a room's functions with one caller")
    parser.add_argument("--svg", type=Path, help="write the picture of the rooms")
    asked = parser.parse_args()
    if asked.svg:
        asked.svg.write_text(picture(), encoding="utf-8")
        return 0
    modules = measure()
    rooms = defaultdict(list)
    for module in modules:
        rooms[module.room].append(module)
    if asked.once:
        for module in rooms[asked.once]:
            for name in module.once:
                print(f"{module.path.relative_to(ROOT.parent)} {name}")
        return 0
    heads = f"{'room':<12}{'files':>6}{'lines':>8}{'longest':>9}{'functions':>11}"
    print(f"{heads}{'median':>8}{'p90':>6}   one caller")
    for name in sorted(rooms):
        print(_row(name, rooms[name]))
    print(_row("all", modules))
    shared = ", ".join(f"{name} x{len(paths)}" for name, paths in sorted(_shared(modules).items()))
    print(f"names in use more than once: {shared or 'none'}")
    broken = 0
    for what, found, most in bounds(modules):
        shown = (f"{found:.1%}", f"{most:.0%}") if most < 1 else (f"{found:,.0f}", f"{most:,}")
        broken += found > most
        print(f"{'ok ' if found <= most else 'NO '} {what}: {shown[0]} (at most {shown[1]})")
    return int(bool(asked.check and broken))


if __name__ == "__main__":
    sys.exit(main())
