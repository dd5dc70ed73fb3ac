"""What people are shown of a run, a comparison or an image: one `Document`, and its formats.

Pure but for `load_report` and `comparison_document`, which read what runs left, and for what
writes reports.
"""

from harness.report.bench_page import bench_document
from harness.report.certificate_page import certificate_document
from harness.report.document import Change, Document, Look
from harness.report.documents import (
    comparison_document,
    image_difference_document,
    inventory_document,
    refusal_document,
    run_document,
)
from harness.report.matrix_page import matrix_document
from harness.report.rates_drawing import rates_svg
from harness.report.run_report import (
    changes_of,
    first_changes,
    load_report,
    prompts_of,
    write_reports,
)
from harness.report.screen import (
    COLUMNS,
    answer_lines,
    below,
    fitted,
    screen_lines,
    verdict_box,
)
from harness.report.sections_conduct import outcome_lines
from harness.report.sections_images import inventory_lines
from harness.report.standing import checks_text, measured_on, nature
from harness.report.text import comparison_lines, detail_lines, gate_lines, headline_clauses
from harness.report.write import FILES, rendered, write_document

__all__ = [
    "COLUMNS",
    "FILES",
    "Change",
    "Document",
    "Look",
    "answer_lines",
    "below",
    "bench_document",
    "certificate_document",
    "changes_of",
    "checks_text",
    "comparison_document",
    "comparison_lines",
    "detail_lines",
    "first_changes",
    "fitted",
    "gate_lines",
    "headline_clauses",
    "image_difference_document",
    "inventory_document",
    "inventory_lines",
    "load_report",
    "matrix_document",
    "measured_on",
    "nature",
    "outcome_lines",
    "prompts_of",
    "rates_svg",
    "refusal_document",
    "rendered",
    "run_document",
    "screen_lines",
    "verdict_box",
    "write_document",
    "write_reports",
]
