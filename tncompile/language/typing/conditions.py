"""`require` in a model: decided where it can be; the rest is assumed and checked in `forward`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tncompile.language.diagnostics.collector import Failed, failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.evaluating import arithmetic
from tncompile.language.parsing.lexer import one_line
from tncompile.language.resolved import value_text
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span
from tncompile.language.syntax.walk import values_used
from tncompile.language.typing.expressions import Reader, numbers
from tncompile.language.typing.model import Combined, Comparison, Condition, Requirement
from tncompile.language.typing.sizes import Facts, Size
from tncompile.language.typing.state import Typed, limited_sizes
from tncompile.language.typing.values import Numbers, Tuple, Value

_MOST_COMPARISONS = 8
_MOST_SHOWN = 40


def require(
    reader: Reader, statement: tree.Require, before: Sequence[Requirement]
) -> Requirement | None:
    """What `forward` has to check; TN302 where the condition does not hold whatever the sizes are.

    What is required of sizes is assumed from then on, as is what was required `before`.
    """
    with limited_sizes(statement.condition.span):
        condition = _condition(reader, statement.condition)
    if condition is True:
        return None
    reason = "a requirement does not hold" if statement.reason is None else statement.reason.value
    if condition is False:
        earlier = _contradicted(reader, statement.condition, before)
        if earlier is not None:
            raise _contradiction(statement.condition, earlier.span)
        message, span = f"requirement failed: {reason}", statement.condition.span
        notes = (*_both_sides(reader, statement.condition), *_known(reader, statement.condition))
        hint = "change the arguments so that it holds"
        if not notes:
            notes = ("a run-time size is an integer, 1 or more",)
            hint = "change the condition"
        code = Code.REQUIREMENT_FAILED
        raise failure(code, message, span, "this is false", notes, hint, _origin(reader, statement))
    with limited_sizes(statement.condition.span):
        for each in _all(condition):
            if _decided(reader.typing.facts, each) is False:
                raise _contradiction(statement.condition)
            _assume(reader.typing.facts, each)
    span = statement.condition.span
    return Requirement(condition, reason, one_line(span), span)


def _contradicted(
    reader: Reader, node: tree.Expression, before: Sequence[Requirement]
) -> Requirement | None:
    """The last requirement that makes a condition false; None where it is false by itself."""
    typing, own = reader.typing, reader.typing.facts
    try:
        for earlier in ([], *([each] for each in reversed(before))):
            typing.facts = assumed(earlier)
            if _condition(reader, node) is False:
                return earlier[0] if earlier else None
    finally:
        typing.facts = own
    return before[-1] if before else None


def _contradiction(node: tree.Expression, earlier: Span | None = None) -> Failed:
    """TN302 for what no sizes fulfill."""
    there = () if earlier is None else (Label(earlier, "required here"),)
    message = f"`{one_line(node.span)}` contradicts "
    message += "itself" if earlier is None else "an earlier requirement"
    note = "requirements hold together: `forward` would refuse all sizes"
    hint = "keep one of them, or change its numbers"
    label = "no sizes are left"
    return failure(Code.REQUIREMENT_FAILED, message, node.span, label, note, hint, there)


def assumed(requirements: Iterable[Requirement]) -> Facts:
    """What holds of the sizes of a model wherever its requirements do."""
    facts = Facts()
    for requirement in requirements:
        for each in _all(requirement.condition):
            _assume(facts, each)
    return facts


def _check_chain(reader: Reader, node: tree.Binary) -> None:
    """TN305 for `0 < t < 9` of a run-time size; numbers are told so where they are compared."""
    names = (used.name for used in values_used(node.left))
    if node.operator not in ("==", "!=") and any(
        isinstance(reader.entity(name), Size) for name in names
    ):
        numbers.check_chain(node)


def _condition(reader: Reader, node: tree.Expression) -> bool | Condition:
    """A condition; parts that are decided are gone."""
    match node:
        case tree.Binary("and" | "or" as word):
            sides: list[tree.Expression] = []
            while isinstance(node, tree.Binary) and node.operator == word:
                sides.append(node.right)
                node = node.left
            sides.append(node)
            left: list[Condition] = []
            for side in reversed(sides):
                found = _condition(reader, side)
                if found is (word == "or"):
                    return found
                if not isinstance(found, bool):
                    left.append(found)
            if not left:
                return word == "and"
            return left[0] if len(left) == 1 else Combined("and" if word == "and" else "or",
                                                           tuple(left))  # fmt: skip
        case tree.Unary("not", operand):
            found = _condition(reader, operand)
            return not found if isinstance(found, bool) else Combined("not", (found,))
        case tree.Conditional():
            return _condition(reader, reader.chosen(node))
        case tree.Binary(symbol) if symbol in arithmetic.COMPARISONS:
            _check_chain(reader, node)
            left_term, right_term = reader.term(node.left), reader.term(node.right)
            if isinstance(left_term, Size) or isinstance(right_term, Size):
                return _comparison(reader, node, Typed(left_term, node.left.span),
                                   Typed(right_term, node.right.span))  # fmt: skip
    return reader.truth(node)


def _comparison(reader: Reader, node: tree.Binary, left: Typed, right: Typed) -> bool | Condition:
    sizes: list[Size] = []
    for side in (left, right):
        term = side.term
        if isinstance(term, Value | Tuple):
            reader.typing.number(side)
        if isinstance(term, int) and not isinstance(term, bool):
            term = Size.number(term)
        if not isinstance(term, Size):
            message = "sizes are compared with integers and sizes"
            note, hint = "a run-time size is an integer", "write an integer here"
            label = "neither"
            raise failure(Code.WRONG_TYPE, message, side.span, label, note, hint)
        sizes.append(term)
    first, second = sizes
    comparison = Comparison(node.operator, first, second)
    decided = _decided(reader.typing.facts, comparison)
    return comparison if decided is None else decided


def _decided(facts: Facts, comparison: Comparison) -> bool | None:
    """Whether a comparison holds for all sizes where the facts do; False if for none."""
    left, right = comparison.left, comparison.right
    match comparison.operator:
        case "<=":
            return facts.at_most(left, right)
        case "<":
            return facts.at_most(left + 1, right)
        case ">=":
            return facts.at_most(right, left)
        case ">":
            return facts.at_most(right + 1, left)
    equal = True if facts.compare(left, right) == "equal" else None
    if facts.at_most(left + 1, right) or facts.at_most(right + 1, left):
        equal = False
    return equal if comparison.operator == "==" or equal is None else not equal


def _all(condition: Condition) -> Iterator[Comparison]:
    """The comparisons that all hold where the condition does."""
    match condition:
        case Comparison():
            yield condition
        case Combined("and", parts):
            for part in parts:
                yield from _all(part)


def _assume(facts: Facts, condition: Comparison) -> None:
    left, right = condition.left, condition.right
    match condition.operator:
        case "==":
            facts.require_equal(left, right)
        case "<=":
            facts.require_at_most(left, right)
        case "<":
            facts.require_at_most(left + 1, right)
        case ">=":
            facts.require_at_most(right, left)
        case ">":
            facts.require_at_most(right + 1, left)


def _both_sides(reader: Reader, node: tree.Expression) -> Iterator[str]:
    """`` `d % 2 == 0` is `1 == 0` `` for each comparison of numbers."""
    todo, shown = [node], 0
    while todo and shown < _MOST_COMPARISONS:
        each = todo.pop()
        match each:
            case tree.Binary(symbol, left, right) if symbol in arithmetic.COMPARISONS:
                try:
                    terms = reader.term(left), reader.term(right)
                except Failed:
                    continue  # never looked at: what stands before it decides
                written = [
                    value_text(term, most=8) if not isinstance(term, str) else f'"{term}"'
                    for term in terms
                    if not isinstance(term, Value | Tuple | Numbers)
                    and isinstance(term, bool | int | float | tuple | str)
                ]
                text = one_line(each.span)
                if len(written) == 2 and (sides := f"{written[0]} {symbol} {written[1]}") != text:
                    yield f"`{text}` is `{sides}`"
                    shown += 1
            case tree.Binary("and" | "or", left, right):
                todo += [right, left]
            case tree.Unary(_, operand):
                todo.append(operand)


def _known(reader: Reader, node: tree.Expression) -> tuple[str, ...]:
    """A note with the numbers that the condition uses."""
    names = dict.fromkeys(used.name.text for used in values_used(node))
    shown = [
        f"{name} = {value_text(number, most=8)}"
        for name in names
        if isinstance(number := reader.names.get(name), bool | int | float | tuple)
    ]
    return (f"here {', '.join(shown[:_MOST_SHOWN])}",) if shown else ()


def _origin(reader: Reader, statement: tree.Require) -> tuple[Label, ...]:
    """Where the first parameter that it uses gets its value from."""
    for used in values_used(statement.condition):
        place = reader.places.get(used.name.text)
        number = reader.names.get(used.name.text)
        if place is not None and isinstance(number, bool | int | float | tuple):
            return (Label(place, f"`{used.name.text}` is {value_text(number, most=6)}"),)
    return ()
