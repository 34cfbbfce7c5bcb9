"""Operators: arithmetic, comparisons, logic, matrix products."""

from __future__ import annotations

from tncompile.language.typing.values import Kind, higher
from tncompile.models.emission.expressions.conversion import Applied
from tncompile.models.emission.expressions.text import Precedence, Text, call, infix, prefix
from tncompile.models.graph.numbers import gives_number

_ARITHMETIC = {"add": "+", "sub": "-", "mul": "*", "div": "/", "mod": "%", "pow": "**"}
_COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_LOGIC = {"and": "&", "or": "|"}


def _arithmetic(applied: Applied) -> Text:
    left, right = _operands(applied)
    return infix(left, _ARITHMETIC[applied.name], right)


def _operands(applied: Applied) -> tuple[Text, Text]:
    """Torch converts kinds as the language does, but not beside numbers, in quotients, of bools."""
    texts = [_counted(text) for text in applied.texts]
    if gives_number(applied.operation):
        return texts[0], texts[1]
    tensors = [k for k in (0, 1) if not applied.number(k)]
    if not tensors or applied.name == "mod":  # `1 % x` has no gradient
        tensors = sorted({0, *tensors})
    kinds = [applied.value(k).kind for k in (0, 1)]
    kind = higher(applied.kind, "float" if applied.name == "div" else "int")
    integers = all(kinds[k] in ("bool", "int") for k in tensors)
    for k in tensors:
        bools = kinds == ["bool", "bool"] or applied.name in ("sub", "pow")
        least: Kind = "int" if bools else "bool"
        if integers and kind == "float" and k == tensors[0]:
            least = "float"
        texts[k] = applied.tensor(k, least)
    return texts[0], texts[1]


def _counted(text: Text) -> Text:
    """A number to calculate with: torch does not subtract bools."""
    return Text({"True": "1", "False": "0"}.get(text.code, text.code), text.precedence)


def _floor_division(applied: Applied) -> Text:
    """`//` of torch has no gradient, not even one of zeros."""
    left, right = _operands(applied)
    if applied.kind in ("bool", "int"):
        return infix(left, "//", right)
    if applied.number(0):
        left = applied.tensor(0, applied.kind)
    return call("torch.div", left, right, 'rounding_mode="floor"')


def _negation(applied: Applied) -> Text:
    if applied.number(0):
        return prefix("-", _counted(applied.texts[0]))
    return prefix("-", applied.tensor(0, "int"))


def _comparison(applied: Applied) -> Text:
    left, right = applied.texts
    if applied.number(0) and applied.number(1):
        left = applied.tensor(0)
    elif applied.name in ("eq", "ne") and {left.code, right.code} & {"True", "False"}:
        return _truth(applied)
    return infix(left, _COMPARISONS[applied.name], right)


def _truth(applied: Applied) -> Text:
    """A comparison with `True` or `False`, as linters want it: the tensor itself, if it is new."""
    k = int(applied.texts[0].code in ("True", "False"))
    tensor, number = applied.texts[k], applied.texts[1 - k]
    new = tensor.precedence in (Precedence.COMPARISON, Precedence.AND, Precedence.OR)
    if applied.value(k).kind != "bool" or not new:
        return call(f"torch.{applied.name}", tensor, number)
    same = (applied.name == "eq") is (number.code == "True")
    return tensor if same else prefix("~", tensor)


def _logic(applied: Applied) -> Text:
    left, right = applied.texts
    if applied.number(0) and applied.number(1):
        left = applied.tensor(0)
    return infix(left, _LOGIC[applied.name], right)


def _not(applied: Applied) -> Text:
    return prefix("~", applied.tensor())


def _matmul(applied: Applied) -> Text:
    kind = "int" if applied.kind == "bool" else applied.kind
    return infix(applied.tensor(0, kind), "@", applied.tensor(1, kind))


RULES = {
    **dict.fromkeys(_ARITHMETIC, _arithmetic),
    **dict.fromkeys(_COMPARISONS, _comparison),
    **dict.fromkeys(_LOGIC, _logic),
    "floordiv": _floor_division,
    "neg": _negation,
    "not": _not,
    "matmul": _matmul,
}
