"""What is asked of the machine's scheduler, and given back."""

import os
import socket
import subprocess
import sys
from dataclasses import replace

import pytest

from harness.machine import Owner, first_in_line, this_space


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


OTHER = dict(zip(("machine", "boot", "space"), range(3), strict=True))


def owner_of(*, host=None, **other):
    """A process that has certainly ended, of a place that differs from here in some parts."""
    parts = this_space().split(".")
    for name in other:
        parts[OTHER[name]] = "ffffffff"
    return Owner(host or socket.gethostname(), os.getpid(), 1, ".".join(parts))


@pytest.mark.parametrize(
    ("owner", "gone", "elsewhere"),
    [
        (owner_of(), True, ""),
        (replace(owner_of(), space=""), True, ""),  # of an earlier release
        (owner_of(boot=True, space=True), True, ""),  # this machine was started anew
        (owner_of(space=True), False, "in another container of host"),
        (owner_of(machine=True, boot=True), False, "on another machine named"),
        (owner_of(host="elsewhere"), True, ""),  # this machine was given another name
        (owner_of(host="elsewhere", boot=True), False, "on host elsewhere"),
        (replace(owner_of(host="elsewhere"), space=""), False, "on host elsewhere"),
    ],
)
def test_a_process_is_gone_only_where_its_id_counts(owner, gone, elsewhere):
    assert owner.is_gone() is gone
    assert owner.elsewhere.startswith(elsewhere)
    assert bool(owner.elsewhere) is bool(elsewhere)
    assert Owner.marked(owner.mark) == owner


def test_this_process_is_not_gone_and_is_here():
    assert not Owner.this().is_gone()
    assert not Owner.this().elsewhere
