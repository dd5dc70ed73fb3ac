"""``python -m tests.golden.rewrite [CASE]...``: write the expected files of all cases, or of some.

For a change of the outputs that is wanted. Whoever runs it names each difference (``git diff
tests/golden/expected``) with its reason in `CHANGES`, beside this file.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from .cases import CASES
from .playing import EXPECTED, play


def main(names: list[str]) -> None:
    unknown = set(names) - {case.name for case in CASES}
    if unknown:
        sys.exit(f"no such case: {', '.join(sorted(unknown))}")
    for case in CASES:
        if names and case.name not in names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            texts = play(case, Path(folder).resolve())
        for path in EXPECTED.glob(f"{case.name}.*"):
            path.unlink()
        for name, text in texts.items():
            (EXPECTED / name).write_bytes(text.encode())
    if not names:
        for path in EXPECTED.iterdir():
            if path.name.split(".")[0] not in {case.name for case in CASES}:
                path.unlink()


if __name__ == "__main__":
    EXPECTED.mkdir(exist_ok=True)
    main(sys.argv[1:])
