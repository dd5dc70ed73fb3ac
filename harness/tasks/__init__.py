"""What is asked: task files, their prompts in population order, their lint, and their import.

The population is all prompts of all task files; batches are cut from it.
"""

from harness.tasks.answer_numbers import numbers_in, read_number
from harness.tasks.answer_options import STUDY_UNKNOWN, UNKNOWN_WORDING, options_of, unknown_index
from harness.tasks.task import Population, Prompt, Sample, Task
from harness.tasks.task_files import load_task, load_tasks, render, task_files

__all__ = [
    "STUDY_UNKNOWN",
    "UNKNOWN_WORDING",
    "Population",
    "Prompt",
    "Sample",
    "Task",
    "load_task",
    "load_tasks",
    "numbers_in",
    "options_of",
    "read_number",
    "render",
    "task_files",
    "unknown_index",
]
