"""What the batch-invariant module replaces on which GPU, read from its source without running it.

``Library.impl("aten::mm", kernel, key)`` replaces an operator and ``os.environ[name] = value`` pins
a library's choice; which of them runs depends on ``if`` statements over the device's compute
capability, which are evaluated here with three values: yes, no, and not known.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from harness.images.inventory.contents import Effect, Inventory

CAPABILITIES = ("8.0", "8.6", "8.9", "9.0", "10.0", "10.3", "12.0")
"""A100, A10/RTX 30, L4/L40/RTX 40, H100/H200, B200, B300, RTX 50/PRO 6000."""
PLATFORM_KEY = "the platform's"
ENTRY = "enable_batch_invariant_mode"
_PLATFORMS = {
    "is_cuda": True,
    "is_cuda_alike": True,
    "is_rocm": False,
    "is_xpu": False,
    "is_cpu": False,
    "is_tpu": False,
}
_RELEASE = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True, slots=True)
class CapabilityEffects:
    """What happens on a GPU of one compute capability.

    Attributes:
        operators: replaced for certain, in order of registration.
        variables: ``NAME=value`` that the switch itself sets.
        uncertain: effects whose conditions this reader cannot decide.
    """

    capability: str
    operators: tuple[str, ...]
    variables: tuple[str, ...]
    uncertain: tuple[str, ...]


def read_effects(source: str) -> tuple[Effect, ...]:
    """Every effect in the module's functions, in order.

    Raises:
        ValueError: the source is not Python that this interpreter can read.
    """
    try:
        tree = ast.parse(source)
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        return tuple(e for f in functions for e in _effects(f.body, (), f.name))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"not readable as Python: {type(error).__name__}") from None


def _effects(body: list[ast.stmt], conditions: tuple[str, ...], function: str) -> Iterator[Effect]:
    for statement in body:
        if isinstance(statement, ast.If):
            test = ast.unparse(statement.test)
            yield from _effects(statement.body, (*conditions, test), function)
            yield from _effects(statement.orelse, (*conditions, f"not ({test})"), function)
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            if (replaced := _replaced_operator(statement.value)) is not None:
                name, key = replaced
                yield Effect("operator", name, key, function, conditions)
        elif isinstance(statement, ast.Assign):
            for name, value in _set_variables(statement):
                yield Effect("variable", name, value, function, conditions)
        else:
            for name in ("body", "orelse", "finalbody"):
                inner = getattr(statement, name, [])
                if inner and not isinstance(statement, ast.FunctionDef | ast.ClassDef):
                    yield from _effects(inner, conditions, function)


def _replaced_operator(call: ast.Call) -> tuple[str, str] | None:
    """Operator and dispatch key of ``library.impl(operator, kernel, key)``."""
    is_impl = isinstance(call.func, ast.Attribute) and call.func.attr == "impl"
    if not is_impl or not call.args:
        return None
    named = {word.arg: word.value for word in call.keywords}
    key = call.args[2] if len(call.args) > 2 else named.get("dispatch_key")
    return _literal(call.args[0]), PLATFORM_KEY if key is None else _key(key)


def _key(node: ast.expr) -> str:
    is_literal = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return str(node.value) if is_literal and isinstance(node, ast.Constant) else PLATFORM_KEY


def _literal(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return f"({ast.unparse(node)})"[:1000]


def _set_variables(statement: ast.Assign) -> Iterator[tuple[str, str]]:
    for target in statement.targets:
        if isinstance(target, ast.Subscript) and ast.unparse(target.value) == "os.environ":
            yield _literal(target.slice), _literal(statement.value)


def effects_by_capability(
    effects: tuple[Effect, ...], torch_version: str | None
) -> tuple[CapabilityEffects, ...]:
    """The effects on NVIDIA GPUs of each of `CAPABILITIES`.

    Operators count wherever the module replaces them; variables only where the mode's switch
    sets them, since the others hold for every device.
    """
    return tuple(_on(capability, effects, torch_version) for capability in CAPABILITIES)


def grouped_effects(inventory: Inventory) -> Iterator[tuple[str, CapabilityEffects]]:
    """Capabilities with the same effects together: ``8.0, 8.6``, and what happens there."""
    module = inventory.contents.batch_invariant
    rows = effects_by_capability(module.effects if module else (), inventory.versions.torch)
    for _, group in groupby(rows, key=lambda row: (row.operators, row.variables, row.uncertain)):
        members = list(group)
        yield ", ".join(member.capability for member in members), members[0]


def _on(capability: str, effects: tuple[Effect, ...], torch: str | None) -> CapabilityEffects:
    operators: list[str] = []
    variables: list[str] = []
    uncertain: list[str] = []
    for effect in effects:
        is_operator = effect.kind == "operator"
        shown = effect.name if is_operator else f"{effect.name}={effect.value}"
        if not is_operator and effect.function != ENTRY:
            continue
        applies = _all(_decide(text, capability, torch) for text in effect.conditions)
        if applies is None:
            uncertain.append(shown)
        elif applies:
            (operators if is_operator else variables).append(shown)
    parts = (tuple(dict.fromkeys(names)) for names in (operators, variables, uncertain))
    return CapabilityEffects(capability, *parts)


def _all(values: Iterator[bool | None]) -> bool | None:
    known = list(values)
    if False in known:
        return False
    return None if None in known else True


def _decide(text: str, capability: str, torch: str | None) -> bool | None:
    try:
        return _value(ast.parse(text, mode="eval").body, capability, torch)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None


def _value(node: ast.expr, capability: str, torch: str | None) -> bool | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = _value(node.operand, capability, torch)
        return None if inner is None else not inner
    if isinstance(node, ast.BoolOp):
        parts = [_value(part, capability, torch) for part in node.values]
        if isinstance(node.op, ast.And):
            return _all(iter(parts))
        negated = _all(None if part is None else not part for part in parts)
        return None if negated is None else not negated
    if isinstance(node, ast.Call):
        return _call(node, capability, torch)
    return None


def _call(node: ast.Call, capability: str, torch: str | None) -> bool | None:
    name = ast.unparse(node.func).rpartition(".")[2]
    if name in _PLATFORMS:
        return _PLATFORMS[name]
    try:
        argument = ast.literal_eval(node.args[0])
    except (ValueError, IndexError, SyntaxError):
        return None
    if name in {"is_torch_equal_or_newer", "_is_torch_equal_or_newer"}:
        return _at_least(torch, str(argument))
    wanted = _as_number(argument)
    major, minor = (int(part) for part in capability.split("."))
    if wanted is None:
        return None
    here = major * 10 + minor
    return {
        "is_device_capability": here == wanted,
        "is_device_capability_family": here // 10 == wanted // 10,
        "has_device_capability": here >= wanted,
    }.get(name)


def _as_number(argument: object) -> int | None:
    """``89`` or ``(8, 9)`` as 89."""
    if isinstance(argument, tuple) and len(argument) == 2:
        return int(argument[0]) * 10 + int(argument[1])
    return argument if isinstance(argument, int) else None


def _at_least(version: str | None, wanted: str) -> bool | None:
    have, need = _RELEASE.match(version or ""), _RELEASE.match(wanted)
    if have is None or need is None:
        return None
    return _numbers(have) >= _numbers(need)


def _numbers(match: re.Match[str]) -> tuple[int, int, int]:
    return int(match[1]), int(match[2]), int(match[3] or 0)
