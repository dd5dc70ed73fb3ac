"""What the batch-invariant module replaces on which GPU, read from its source without running it.

``Library.impl("aten::mm", kernel, key)`` replaces an operator and ``os.environ[name] = value`` pins
a library's choice; which of them runs depends on ``if`` statements over the device's compute
capability, which are evaluated here with three values: yes, no, and not known.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
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
        match statement:
            case ast.If(test=test):
                text = ast.unparse(test)
                yield from _effects(statement.body, (*conditions, text), function)
                yield from _effects(statement.orelse, (*conditions, f"not ({text})"), function)
            case ast.Expr(
                value=ast.Call(func=ast.Attribute(attr="impl"), args=[name, *rest]) as call
            ):
                # library.impl(operator, kernel, key)
                named = {word.arg: word.value for word in call.keywords}
                match rest[1] if len(rest) > 1 else named.get("dispatch_key"):
                    case ast.Constant(value=str(key)):
                        yield Effect("operator", _literal(name), key, function, conditions)
                    case _:
                        yield Effect("operator", _literal(name), PLATFORM_KEY, function, conditions)
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    if (
                        isinstance(target, ast.Subscript)
                        and ast.unparse(target.value) == "os.environ"
                    ):
                        variable, text = _literal(target.slice), _literal(value)
                        yield Effect("variable", variable, text, function, conditions)
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
        operators: list[str] = []
        variables: list[str] = []
        uncertain: list[str] = []
        for effect in effects:
            is_operator = effect.kind == "operator"
            shown = effect.name if is_operator else f"{effect.name}={effect.value}"
            if not is_operator and effect.function != ENTRY:
                continue
            applies = _all(_value(text, capability, torch_version) for text in effect.conditions)
            if applies is None:
                uncertain.append(shown)
            elif applies:
                (operators if is_operator else variables).append(shown)
        parts = (tuple(dict.fromkeys(names)) for names in (operators, variables, uncertain))
        found.append(CapabilityEffects(capability, *parts))
    return tuple(found)


def grouped_effects(inventory: Inventory) -> Iterator[tuple[str, CapabilityEffects]]:
    """Capabilities with the same effects together: ``8.0, 8.6``, and what happens there."""
    module = inventory.contents.batch_invariant
    rows = effects_by_capability(module.effects if module else (), inventory.versions.torch)
    for _, group in groupby(rows, key=lambda row: (row.operators, row.variables, row.uncertain)):
        members = list(group)
        yield ", ".join(member.capability for member in members), members[0]


def _all(values: Iterable[bool | None]) -> bool | None:
    known = list(values)
    if False in known:
        return False
    return None if None in known else True


def _value(node: ast.expr | str, capability: str, torch: str | None) -> bool | None:
    """Of an expression or its text; ``None`` for what cannot be decided, or not be read."""
    match node:
        case str():
            try:
                return _value(ast.parse(node, mode="eval").body, capability, torch)
            except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
                return None
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            return _not(_value(inner, capability, torch))
        case ast.BoolOp(op=ast.And(), values=parts):
            return _all(_value(part, capability, torch) for part in parts)
        case ast.BoolOp(values=parts):
            return _not(_all(_not(_value(part, capability, torch)) for part in parts))
        case ast.Call(func=function, args=arguments):
            name = ast.unparse(function).rpartition(".")[2]
            return (
                _PLATFORMS[name]
                if name in _PLATFORMS
                else _call(name, arguments, capability, torch)
            )
    return None


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def _call(name: str, arguments: list[ast.expr], capability: str, torch: str | None) -> bool | None:
    """A question about the release of PyTorch, or about the GPU: ``89`` and ``(8, 9)`` are one."""
    try:
        wanted = ast.literal_eval(arguments[0])
    except (ValueError, IndexError, SyntaxError):
        return None
    if name in {"is_torch_equal_or_newer", "_is_torch_equal_or_newer"}:
        have, need = _RELEASE.match(torch or ""), _RELEASE.match(str(wanted))
        return None if have is None or need is None else _numbers(have) >= _numbers(need)
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


def _numbers(match: re.Match[str]) -> tuple[int, ...]:
    return tuple(int(part or 0) for part in match.groups())
