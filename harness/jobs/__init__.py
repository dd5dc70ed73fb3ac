"""What a verb does, once its arguments are parsed.

A job takes values, calls the rooms below and returns what there is to print.
"""

from harness.jobs.ablation import Ablation, Step, plan_ablation, run_ablation
from harness.jobs.comparing import Compared, Gate, chosen_formats
from harness.jobs.image_answers import compare_images_by_answers
from harness.jobs.image_bisection import bisect_images, chosen_watches
from harness.jobs.image_differences import read_difference
from harness.jobs.image_runs import ImageRuns, short_name
from harness.jobs.rescoring import comparison_lines, rescore_run
from harness.jobs.scanning import ScanRequest, read_sizes, scan_and_export
from harness.jobs.task_importing import HubChoice, Request, import_task, imported_lines

__all__ = [
    "Ablation",
    "Compared",
    "Gate",
    "HubChoice",
    "ImageRuns",
    "Request",
    "ScanRequest",
    "Step",
    "bisect_images",
    "chosen_formats",
    "chosen_watches",
    "compare_images_by_answers",
    "comparison_lines",
    "import_task",
    "imported_lines",
    "plan_ablation",
    "read_difference",
    "read_sizes",
    "rescore_run",
    "run_ablation",
    "scan_and_export",
    "short_name",
]
