"""What is asked of the machine's scheduler, and given back."""

import os
import subprocess
import sys

from harness.machine import first_in_line


def policy(pid=0):
    """A process's own, without the flag that its children start anew."""
    return os.sched_getscheduler(pid) & ~os.SCHED_RESET_ON_FORK


def test_the_sender_is_first_in_line_and_what_it_starts_is_not():
    before = policy()
    with first_in_line() as allowed:
        assert policy() == (os.SCHED_RR if allowed else before)
        ask = "import os; print(os.sched_getscheduler(0))"
        told = subprocess.run([sys.executable, "-c", ask], capture_output=True, check=True).stdout
        assert int(told) == os.SCHED_OTHER
    assert policy() == before


def test_where_it_is_not_allowed_nothing_changes(monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    before = policy()
    with first_in_line() as allowed:
        assert not allowed
    assert policy() == before
