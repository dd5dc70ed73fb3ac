"""Published data sets to task files: BBQ, TruthfulQA, MMLU, XSTest and JailbreakBench.

Rows come from a local JSONL, CSV or Parquet file, or from anything that yields mappings; what
cannot be converted without a guess is left out and counted, never guessed.
"""

from harness.tasks.importing.datasets import Hub, known_datasets
from harness.tasks.importing.imported_task import import_rows, parse_filter, write_task
from harness.tasks.importing.source_rows import read_rows

__all__ = ["Hub", "import_rows", "known_datasets", "parse_filter", "read_rows", "write_task"]
