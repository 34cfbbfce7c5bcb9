"""`part` in a model: its members, what each is made of, and whose tensors it has."""

from __future__ import annotations

from collections.abc import Mapping

from tncompile.language.diagnostics.collector import Failed, failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.linked import LinkedBlock
from tncompile.language.resolved import member_name
from tncompile.language.resolving.resolution import widest_span
from tncompile.language.resolving.tensors import attribute
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span
from tncompile.language.typing.expressions import Reader
from tncompile.language.typing.families import shared_key, unroll
from tncompile.language.typing.model import Key, Part
from tncompile.language.typing.names import Family
from tncompile.language.typing.parts.callees import Instantiate as Instantiate
from tncompile.language.typing.parts.callees import Maker, Recipe, read_recipe
from tncompile.language.typing.parts.ties import tensor_count, tied_keys

MOST_PARTS = 100_000


def read_part(
    reader: Reader,
    statement: tree.PartStatement,
    blocks: Mapping[str, LinkedBlock],
    instantiate: Instantiate,
) -> tuple[Family, list[Part]]:
    """The members of a `part` statement, and the submodules behind them: shared ones once.

    Raises `Failed`.
    """
    name, subscripts, attributes = statement.name, statement.subscripts, statement.attributes
    condition = attribute(attributes, tree.If)
    ties = [each for each in attributes if isinstance(each, tree.Tie)]
    share, frozen = attribute(attributes, tree.Share), attribute(attributes, tree.Frozen)
    family = Family("part", name, len(subscripts))
    if condition is not None:
        family.condition = condition.span
    typing, test = reader.typing, None if condition is None else condition.condition
    maker = Maker(blocks, instantiate)
    made: dict[Key, tuple[Part, Recipe]] = {}
    counted: dict[int, int] = {}
    for key, inner in unroll(reader, subscripts, test, name.span):
        own = shared_key(subscripts, share, key)
        recipe = read_recipe(inner, statement.value)
        if own in made:
            part, first = made[own]
            place = maker.difference(inner, recipe, first, part.callee)
            if place is None and tied_keys(inner, ties, name, key, part.callee) != part.tied:
                place = ties[0].span
            if place is not None and share is not None:
                raise _differs(statement, share, key, part, place)
            family.members[key] = part
            continue
        callee, handed = maker.callee(inner, recipe)
        part = Part(
            name.text,
            key,
            own,
            callee,
            frozen is not None,
            tied_keys(inner, ties, name, key, callee),
            handed,
            declared=name.span,
        )
        made[own] = part, recipe
        family.members[key] = part
        typing.counts["part"] += 1
        if typing.counts["part"] > MOST_PARTS:
            raise _too_many(statement)
        typing.budget.charge(tensor_count(callee, counted), name.span)
    return family, [part for part, _ in made.values()]


def _differs(
    statement: tree.PartStatement, share: tree.Share, key: Key, part: Part, place: Span
) -> Failed:
    """TN306 at the subscript that members are shared along, where what they are depends on it."""
    names = [subscript.name.text for subscript in statement.subscripts]
    differing = {name for name, a, b in zip(names, key, part.subscripts, strict=True) if a != b}
    shared = next((name for name in share.names if name.text in differing), share.names[0])
    full = member_name(statement.name.text, key)
    message = f"`{full}` and `{part.name}` cannot be one part: they are made differently"
    note = "members that differ in a shared subscript alone are one part"
    hint = f"leave `{shared.text}` out of `share`, or out of the arguments"
    there = Label(place, f"this depends on `{shared.text}`")
    label = "shared along this subscript"
    return failure(Code.SHAPES_DIFFER, message, shared.span, label, note, hint, there)


def _too_many(statement: tree.PartStatement) -> Failed:
    message = f"the model has more than {MOST_PARTS} parts"
    note, hint = f"a model has at most {MOST_PARTS} parts", "make the family smaller"
    span = widest_span(statement.subscripts, statement.name.span)
    return failure(Code.TOO_MANY, message, span, "the limit is passed here", note, hint)
