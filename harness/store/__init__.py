"""The run folder: append-only records, atomic JSON, one owner at a time, and the log book.

Everything that a run leaves behind is written here; nothing here knows what a record means.
"""

from harness.store.folder import RunFolder, TornTail, find_unfinished, new_run_id
from harness.store.jsonfile import read_json, read_lines, write_json
from harness.store.logbook import open_logbook

__all__ = [
    "RunFolder",
    "TornTail",
    "find_unfinished",
    "new_run_id",
    "open_logbook",
    "read_json",
    "read_lines",
    "write_json",
]
