"""How time and memory grow with the records: from those of a scan to its summary and report.

The records are simulated (`summarize.py` makes them, nobody answered): of the required columns, and
as the harness writes them. Each verb is a process of its own. With another checkout of the project
both are measured on the same files, and what they print has to be the same.

    python benchmarks/growth.py [--required ROWS…] [--own ROWS…] [--against CHECKOUT]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from summarize import ROOT, measure, own_record, required_columns, write

STEPS = {
    "candidates export": ("candidates", "export", "{}", "-o", "{}.csv"),
    "summarize": ("summarize", "{}", "-o", "{}.summary.json"),
    "report": ("report", "{}", "--format", "md,html", "-o", "{}.report"),
}


def report(form: str, rows: int, trees: Sequence[Path], steps: Sequence[str]) -> Iterator[str]:
    """Measure every step on so many candidates in both modes, one line a step and checkout."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "records.jsonl"
        write(path, rows, own_record if form == "own" else required_columns)
        size = path.stat().st_size / 2**20
        yield f"{form}: {2 * rows:,} simulated records, {size:,.0f} MiB"
        for step in steps:
            made = []
            for tree in trees:
                words = [word.replace("{}", str(path)) for word in STEPS[step]]
                found = measure([sys.executable, "-m", "harness", *words], tree)
                yield f"  {step:<18} {'here' if tree == ROOT else 'there':<6} {found}"
                if (summary := Path(f"{path}.summary.json")).exists():
                    made.append(summary.read_bytes())
            if step == "summarize" and len(set(made)) > 1:
                raise SystemExit(f"{form}, {rows} rows: the two checkouts write other summaries")


def main() -> None:
    """Parse the command line and print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--required", type=int, nargs="*", default=[5_000, 50_000, 306_996])
    parser.add_argument("--own", type=int, nargs="*", default=[5_000, 50_000])
    parser.add_argument("--steps", nargs="*", choices=STEPS, default=[*STEPS])
    parser.add_argument("--against", type=Path, help="another checkout, measured on the same files")
    asked = parser.parse_args()
    trees = [ROOT, *([asked.against.resolve()] if asked.against else [])]
    for form in ("required", "own"):
        for rows in getattr(asked, form):
            for line in report(form, rows, trees, asked.steps):
                print(line, flush=True)  # noqa: T201 - the benchmark's result


if __name__ == "__main__":
    main()
