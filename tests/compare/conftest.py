"""Runs are written and read anew for every example, which takes as long as the disk takes."""

from hypothesis import settings

settings.register_profile("runs", deadline=None)
settings.load_profile("runs")
