"""A run on a rented GPU: a pod of RunPod priced, started, watched, fetched from and ended.

`Account` speaks RunPod's API, `PodWatch` looks after one pod, `Door` and `fetch` copy what it made;
`give` is the other side of that door and runs in the pod.
"""

from harness.runpod.account import KEY, Account, LogLine, NotPlaced, Pod, Unavailable, told
from harness.runpod.fetching import Door, Fetched, fetch
from harness.runpod.giving import Item, Manifest, State, give, server
from harness.runpod.order import (
    PORT,
    TOKEN,
    Offer,
    Order,
    Template,
    is_ours,
    read_template,
    read_variables,
)
from harness.runpod.pod_watch import PodWatch, end_command, progress

__all__ = [
    "KEY",
    "PORT",
    "TOKEN",
    "Account",
    "Door",
    "Fetched",
    "Item",
    "LogLine",
    "Manifest",
    "NotPlaced",
    "Offer",
    "Order",
    "Pod",
    "PodWatch",
    "State",
    "Template",
    "Unavailable",
    "end_command",
    "fetch",
    "give",
    "is_ours",
    "progress",
    "read_template",
    "read_variables",
    "server",
    "told",
]
