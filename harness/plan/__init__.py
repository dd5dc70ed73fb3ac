"""Spec to ordered work: batch groups, server lifetimes, and what a resumed run has left to do.

Pure: a plan is a value computed from the spec, the candidates and the population.
"""

from harness.plan.estimate import Estimate, estimate
from harness.plan.planning import (
    BatchGroup,
    Lifetime,
    Plan,
    PlannedRecord,
    batch_group,
    build_plan,
    remaining,
)
from harness.plan.sharding import sharded

__all__ = [
    "BatchGroup",
    "Estimate",
    "Lifetime",
    "Plan",
    "PlannedRecord",
    "batch_group",
    "build_plan",
    "estimate",
    "remaining",
    "sharded",
]
