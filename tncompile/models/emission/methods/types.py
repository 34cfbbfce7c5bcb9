"""What type checkers know of the values of a method: a call of a module gives `Any` to them."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from tncompile.models.emission.methods.body import Block, Line

_LOOP = re.compile(r"for (?P<targets>.+) in (?P<value>.+):")
_ASSIGNED = re.compile(r"(?P<targets>[\w, ()]+) = (?P<value>.+)")


def return_tensor(
    lines: Sequence[Line | Block], result: str, remark: str, known: Collection[str], name: str
) -> list[Line | Block]:
    """The lines, and behind them the return of a result that is known to be a tensor.

    Where checkers take it for `Any`, the variable that it begins with is declared, or the result,
    by this name. `known` have a type: arguments, sizes, `self.x`.
    """
    returned = Line(f"return {result}", remark)
    if _is_known(result, lines, known):
        return [*lines, returned]
    variable = re.split(r"\W", result, maxsplit=1)[0]
    for place, line in enumerate(lines):
        if isinstance(line, Line) and line.code.startswith(f"{variable} = "):
            declared = Line(f"{variable}: Tensor{line.code.removeprefix(variable)}", line.remark)
            if _is_known(result, lines, {*known, variable}):
                return [*lines[:place], declared, *lines[place + 1 :], returned]
        if variable in dict(_assignments([line])):
            break
    return [*lines, Line(f"{name}: Tensor = {result}", remark), Line(f"return {name}")]


def _is_known(code: str, lines: Sequence[Line | Block], known: Collection[str]) -> bool:
    """Whether the type of an expression behind these lines is known."""
    variables: dict[str, bool] = dict.fromkeys(known, True)
    for target, value in _assignments(lines):
        if target not in variables:
            variables[target] = _is_typed(ast.parse(value, mode="eval").body, variables)
    return _is_typed(ast.parse(code, mode="eval").body, variables)


def _is_typed(node: ast.expr, variables: Mapping[str, bool]) -> bool:
    """A variable has the type of what it was made as; what meets `Any` is `Any`."""
    match node:
        case ast.Constant():
            return True
        case ast.BinOp(left=left, right=right):
            return _is_typed(left, variables) and _is_typed(right, variables)
        case ast.Compare(left=left, comparators=others):
            return all(_is_typed(each, variables) for each in (left, *others))
        case ast.UnaryOp(operand=value) | ast.Subscript(value=value):
            return _is_typed(value, variables)
        case ast.Call(func=ast.Name(id=name)):
            return name.startswith("_") and name not in variables
        case ast.Call(func=ast.Attribute(attr="recurrent")):
            return False  # one tensor or two beside the output
        case ast.Call(func=ast.Attribute(value=value)):
            return _is_typed(value, variables)
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            return f"self.{name}" in variables
        case ast.Attribute(value=value):
            return _is_typed(value, variables)
        case ast.Name(id=name):
            return variables.get(name, name in ("torch", "F", "past"))
        case _:
            return False


def _assignments(lines: Sequence[Line | Block]) -> Iterator[tuple[str, str]]:
    """Each variable, and the expression that it is made of or taken from, in order."""
    for line in lines:
        code = line.code if isinstance(line, Line) else line.head
        found = (_ASSIGNED if isinstance(line, Line) else _LOOP).fullmatch(code)
        if found:
            for target in re.findall(r"\w+", found["targets"]):
                yield target, found["value"]
        if isinstance(line, Block):
            yield from _assignments(line.lines)
