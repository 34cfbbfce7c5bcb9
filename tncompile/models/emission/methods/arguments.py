"""What `forward` of a model does first: it looks at its arguments, and takes sizes from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tncompile.emission.text.identifiers import Names
from tncompile.emission.text.writer import INDENT, TAB, WIDTH, indented, string_lines
from tncompile.language.typing.model import (
    Check,
    Combined,
    Comparison,
    Condition,
    ModelInput,
    Requirement,
    ResolvedModel,
)
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Kind
from tncompile.models.emission.construction.parts import literal

Checked = Literal["fully", "quickly", "never"]
"""Whether `forward` looks at its arguments: at each by itself where other models call it.

That they fit together is known there, so all of it is: of what a `scan` calls for every entry.
"""

_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_TURNED = str.maketrans("<>", "><")
_IS_KIND: Mapping[Kind, str] = {
    "float": "{0}.dtype not in _FLOATS",
    "complex": "not {0}.is_complex()",
    "bool": "{0}.dtype is not torch.bool",
    "int": "{0}.dtype not in _INTS",
}


@dataclass(frozen=True)
class SizeNames:
    """The run-time sizes in the names of `forward`; `lead` has those of `...`."""

    names: Mapping[str, str]
    lead: str

    def text(self, size: Size) -> str:
        """An expression of a size."""
        renamed = {old: Size.name(new) for old, new in self.names.items() if old != new}
        return str(size.bound(renamed))


def written(source: ModelInput) -> str:
    """The declaration of an input: `x(..., t, 768)`, `ids(..., t) int`."""
    kind = "" if source.kind == "float" else f" {source.kind}"
    return f"{source.name}{source.shape}{kind}"


def argument_names(model: ResolvedModel, names: Names) -> dict[str, str]:
    """The arguments of `forward` by input."""
    return {
        source.name: names.fresh("_".join((source.family, *map(str, source.subscripts))))
        for source in model.inputs
    }


def write_checks(
    model: ResolvedModel, arguments: Mapping[str, str], sizes: SizeNames, checked: Checked
) -> list[str]:
    """The lines of a ValueError or TypeError where arguments do not fit, and those of sizes."""
    lines: list[str] = []
    late: list[str] = []
    known: dict[str, str] = {}
    lead: str | None = None
    for source in model.inputs:
        name, shape = arguments[source.name], source.shape
        count = len(shape.sizes)
        wrong = [_IS_KIND[source.kind].format(name)]
        fixed = [size.value for size in shape.sizes]
        if count > 1 and None not in fixed:
            part = f".shape[-{count}:]" if shape.dots else ".shape"
            wrong.append(f"{name}{part} != {literal(tuple(map(int, map(str, fixed))))}")
        elif shape.dots:
            wrong += [f"{name}.dim() < {count}"] * bool(count)
        else:
            wrong.append(f"{name}.dim() != {count}")
        for dim, size in zip(range(-count, 0), shape.sizes, strict=True):
            length = f"{name}.shape[{dim}]"
            run_time = str(size)
            if size.value is not None:
                wrong += [f"{length} != {size.value}"] * (count == 1 or None in fixed)
            elif run_time in size.names and run_time not in known:
                known[run_time] = length
                late.append(f"{sizes.names[run_time]} = {length}")
            elif checked == "fully":
                late += _if(
                    f"{length} != {sizes.text(size)}",
                    f"{written(source)}: the axis of `{size}` must have ",
                    f"{{{sizes.text(size)}}} entries, got shape {{tuple({name}.shape)}}",
                )
        if shape.dots:
            leading = f"{name}.shape[:{-count}]" if count else f"{name}.shape"
            if lead is None:
                lead = leading
                late.append(f"{sizes.lead} = {leading}")
            elif checked == "fully":
                late += _if(
                    f"{leading} != {sizes.lead}",
                    f"{written(source)}: the axes of `...` must be as in every other input: ",
                    f"{{tuple({sizes.lead})}}, got shape {{tuple({name}.shape)}}",
                )
        if checked == "never":
            continue
        lines += _condition("if ", wrong, ":")
        items = [*string_lines(written(source)), name, f'"{source.kind}"']
        lines.append(f"{TAB}raise _wrong({', '.join(items)})")
    return [*lines, *late]


def write_requirements(model: ResolvedModel, sizes: SizeNames) -> list[str]:
    """The lines of a ValueError where what is required of run-time sizes does not hold."""
    lines: list[str] = []
    for requirement in model.requirements:
        lines += _required(model, requirement.condition, requirement, sizes)
    for check in model.checks:
        lines += _required(model, check.comparison, check, sizes)
    return lines


def _required(
    model: ResolvedModel, condition: Condition, source: Requirement | Check, sizes: SizeNames
) -> list[str]:
    compared = list(_comparisons(condition))
    sides = "; ".join(
        f"{_field(each.left, sizes)} {each.operator} {_field(each.right, sizes)}"
        for each in compared
    )
    names = sorted({name for each in compared for name in each.left.names | each.right.names})
    bound = ", ".join(f"{name} = {{{sizes.names[name]}}}" for name in names)
    if isinstance(source, Requirement):
        text = f"{source.reason}: `{source.text}` is false: "
    else:
        comparison = source.comparison
        left, operator, right = comparison.left, comparison.operator, comparison.right
        text = f"{source.reason}: `{left} {operator} {right}` is false: "
    return _if(_negated(condition, sizes), text, f"{sides} ({bound})" if bound else sides)


def _field(size: Size, sizes: SizeNames) -> str:
    return str(size) if size.value is not None else f"{{{sizes.text(size)}}}"


def _comparisons(condition: Condition) -> list[Comparison]:
    if isinstance(condition, Comparison):
        return [condition]
    return [each for part in condition.parts for each in _comparisons(part)]


def _negated(condition: Condition, sizes: SizeNames) -> str:
    match condition:
        case Comparison(operator, left, right):
            return _compared(left, _OPPOSITE[operator], right, sizes)
        case Combined("not", (inner,)):
            return _plain(inner, sizes)
        case Combined(operator, parts):
            other = "or" if operator == "and" else "and"
            return f" {other} ".join(_within(_negated(part, sizes), part) for part in parts)


def _plain(condition: Condition, sizes: SizeNames) -> str:
    match condition:
        case Comparison(operator, left, right):
            return _compared(left, operator, right, sizes)
        case Combined("not", (inner,)):
            return _negated(inner, sizes)
        case Combined(operator, parts):
            texts = (_within(_plain(part, sizes), part) for part in parts)
            return f" {operator} ".join(texts)


def _compared(left: Size, operator: str, right: Size, sizes: SizeNames) -> str:
    """A comparison, what is known at run time first."""
    if left.value is not None and right.value is None:
        left, operator, right = right, operator.translate(_TURNED), left
    return f"{sizes.text(left)} {operator} {sizes.text(right)}"


def _within(text: str, condition: Condition) -> str:
    return text if isinstance(condition, Comparison) else f"({text})"


def _if(condition: str, message: str, fields: str) -> list[str]:
    """`if condition: raise ValueError(message)`; the `fields` at its end are our own."""
    lines = _condition("if ", [condition], ":")
    head, indent = "raise ValueError(", INDENT + len(TAB)
    literals = string_lines(message, fields, indent=indent + len(TAB))
    if len(literals) == 1 and indent + len(head) + len(literals[0]) < WIDTH:
        return [*lines, *indented([f"{head}{literals[0]})"])]
    return [*lines, *indented([head, *indented(literals), ")"])]


def _condition(head: str, parts: Sequence[str], tail: str) -> list[str]:
    line = f"{head}{' or '.join(parts)}{tail}"
    if len(line) + INDENT <= WIDTH:
        return [line]
    return [f"{head}(", *indented([parts[0], *(f"or {part}" for part in parts[1:])]), f"){tail}"]
