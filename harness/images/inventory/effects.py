"""What the batch-invariant module replaces on which GPU, read from its source without running it.

``Library.impl("aten::mm", kernel, key)`` replaces an operator and ``os.environ[name] = value`` pins
a library's choice; which of them runs depends on ``if`` statements over the device's compute
capability, which are evaluated here with three values: yes, no, and not known.
"""

import ast
import re
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

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
_NO, _UNKNOWN, _YES = 0, 1, 2
"""Kleene's logic: ``and`` is the least of its values, ``or`` the greatest, ``not`` is 2 - value."""


class CapabilityEffects(NamedTuple):
    """What happens on a GPU of one compute capability.

    Operators replaced for certain, in order of registration, each ``NAME=value`` that the switch
    itself sets, and ``uncertain`` effects, whose conditions this reader cannot decide.
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
        match statement:
            case ast.If(test=test):
                text = ast.unparse(test)
                yield from _effects(statement.body, (*conditions, text), function)
                yield from _effects(statement.orelse, (*conditions, f"not ({text})"), function)
            case ast.Expr(value=ast.Call(func=ast.Attribute(attr="impl")) as call) if call.args:
                name, *rest = call.args  # operator, kernel, key
                named = {word.arg: word.value for word in call.keywords}
                given = rest[1] if len(rest) > 1 else named.get("dispatch_key")
                is_text = isinstance(given, ast.Constant) and isinstance(given.value, str)
                key = _literal(given) if given and is_text else PLATFORM_KEY
                yield Effect("operator", _literal(name), key, function, conditions)
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    match target:
                        case ast.Subscript(value=of, slice=to) if ast.unparse(of) == "os.environ":
                            pinned = _literal(to), _literal(value)
                            yield Effect("variable", *pinned, function, conditions)
            case ast.FunctionDef() | ast.ClassDef() | ast.Expr():
                pass
            case _:
                for part in ("body", "orelse", "finalbody"):
                    yield from _effects(getattr(statement, part, []), conditions, function)


def _literal(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return f"({ast.unparse(node)})"[:1000]


def effects_by_capability(
    effects: tuple[Effect, ...], torch_version: str | None
) -> tuple[CapabilityEffects, ...]:
    """The effects on NVIDIA GPUs of each of `CAPABILITIES`.

    Operators count wherever the module replaces them; variables only where the mode's switch
    sets them, since the others hold for every device.
    """
    found = []
    for capability in CAPABILITIES:
        kinds: tuple[list[str], list[str], list[str]] = [], [], []
        operators, variables, uncertain = kinds
        for effect in effects:
            is_operator = effect.kind == "operator"
            if not is_operator and effect.function != ENTRY:
                continue
            holds = (_holds(text, capability, torch_version) for text in effect.conditions)
            applies = min(holds, default=_YES)
            if applies != _NO:
                certain = operators if is_operator else variables
                shown = effect.name if is_operator else f"{effect.name}={effect.value}"
                (certain if applies == _YES else uncertain).append(shown)
        parts = (tuple(dict.fromkeys(names)) for names in kinds)
        found.append(CapabilityEffects(capability, *parts))
    return tuple(found)


def effects_of(inventory: Inventory) -> tuple[CapabilityEffects, ...]:
    """What the batch-invariant module of an image does, as `effects_by_capability`."""
    module = inventory.contents.batch_invariant
    return effects_by_capability(module.effects if module else (), inventory.versions.torch)


def grouped_effects(inventory: Inventory) -> Iterator[tuple[str, CapabilityEffects]]:
    """Capabilities with the same effects together: ``8.0, 8.6``, and what happens there."""
    for _, group in groupby(effects_of(inventory), key=lambda row: row[1:]):
        members = list(group)
        yield ", ".join(member.capability for member in members), members[0]


def _holds(node: ast.expr | str, capability: str, torch: str | None) -> int:
    """Of an expression or its text; what cannot be decided, or not be read, is unknown."""
    match node:
        case str():
            try:
                return _holds(ast.parse(node, mode="eval").body, capability, torch)
            except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
                return _UNKNOWN
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            return _YES - _holds(inner, capability, torch)
        case ast.BoolOp(op=operator, values=parts):
            values = [_holds(part, capability, torch) for part in parts]
            return min(values) if isinstance(operator, ast.And) else max(values)
        case ast.Call(func=function, args=arguments):
            name = ast.unparse(function).rpartition(".")[2]
            known = _PLATFORMS.get(name)
            answer = _call(name, arguments, capability, torch) if known is None else known
            return _UNKNOWN if answer is None else _YES * answer
    return _UNKNOWN


def _call(name: str, arguments: list[ast.expr], capability: str, torch: str | None) -> bool | None:
    """A question about the release of PyTorch, or about the GPU: ``89`` and ``(8, 9)`` are one."""
    try:
        wanted = ast.literal_eval(arguments[0])
    except (ValueError, IndexError, SyntaxError):
        return None
    if name in {"is_torch_equal_or_newer", "_is_torch_equal_or_newer"}:
        releases = _RELEASE.match(torch or ""), _RELEASE.match(str(wanted))
        have, need = ([int(n or 0) for n in found.groups()] if found else [] for found in releases)
        return have >= need if have and need else None
    if isinstance(wanted, tuple) and len(wanted) == 2:
        wanted = int(wanted[0]) * 10 + int(wanted[1])
    if not isinstance(wanted, int):
        return None
    here = int(capability.replace(".", ""))
    return {
        "is_device_capability": here == wanted,
        "is_device_capability_family": here // 10 == wanted // 10,
        "has_device_capability": here >= wanted,
    }.get(name)
