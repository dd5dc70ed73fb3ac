"""Published data sets, tables, lm-eval samples and inspect logs to task files.

Rows come from a local JSONL, CSV or Parquet file, or from anything that yields mappings; what
cannot be converted without a guess is left out and counted, never guessed.
"""

from harness.tasks.importing.datasets import Hub, known_datasets
from harness.tasks.importing.imported_task import import_rows, parse_filter, write_task
from harness.tasks.importing.source_rows import first_filter, read_folder, read_rows

__all__ = [
    "Hub",
    "first_filter",
    "import_rows",
    "known_datasets",
    "parse_filter",
    "read_folder",
    "read_rows",
    "write_task",
]
