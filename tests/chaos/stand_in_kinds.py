"""The ways in which the stand-in server misbehaves, read from its source: it is a program."""

from __future__ import annotations

import ast

from .bench import STAND_IN

KINDS: list[str] = ["twice"]
for node in ast.parse(STAND_IN.read_text()).body:
    if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
        continue
    name, value = node.targets[0].id, node.value
    if name in ("HOSTILE", "BODIES", "STATUSES") and isinstance(value, ast.Dict):
        KINDS += [str(key.value) for key in value.keys if isinstance(key, ast.Constant)]
    elif name == "HANGS":
        KINDS += ast.literal_eval(value)
