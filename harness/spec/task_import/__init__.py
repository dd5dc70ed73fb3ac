"""Published data sets to task files: BBQ, TruthfulQA, MMLU, XSTest and JailbreakBench.

Rows come from a local JSONL, CSV or Parquet file, or from anything that yields mappings; what
cannot be converted without a guess is left out and counted, never guessed.
"""

from harness.spec.task_import.build import ImportedTask, RowFilter, import_rows, parse_filter
from harness.spec.task_import.datasets import DATASETS, Dataset
from harness.spec.task_import.rows import read_rows
from harness.spec.task_import.writing import write_task

__all__ = [
    "DATASETS",
    "Dataset",
    "ImportedTask",
    "RowFilter",
    "import_rows",
    "parse_filter",
    "read_rows",
    "write_task",
]
