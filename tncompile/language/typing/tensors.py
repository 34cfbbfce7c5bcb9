"""`tensor` in a model: plain tensors, which expressions use as values; trained, or of integers."""

from __future__ import annotations

import math
from typing import cast

from tncompile.language.diagnostics.collector import Failed, failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.resolved import LARGEST_SIZE, ResolvedInit, SchemeName, member_name
from tncompile.language.resolving.tensors import attribute
from tncompile.language.syntax import tree
from tncompile.language.typing.expressions import Reader
from tncompile.language.typing.families import shared_key, unroll
from tncompile.language.typing.model import Key, PlainTensor
from tncompile.language.typing.names import Family
from tncompile.language.typing.operations import Stored
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Shape, Value


def read_tensor(
    reader: Reader, statement: tree.TensorStatement
) -> tuple[Family, list[PlainTensor]]:
    """The members of a `tensor` statement as values, and the tensors that are stored for them."""
    name, attributes = statement.name, statement.attributes
    condition = attribute(attributes, tree.If)
    tie, share = attribute(attributes, tree.Tie), attribute(attributes, tree.Share)
    integer = attribute(attributes, tree.Int) is not None
    scheme = attribute(attributes, tree.Scheme)
    family = Family("tensor", name, len(statement.subscripts))
    if condition is not None:
        family.condition = condition.condition.span
    if scheme is None and tie is None:
        message = f"`{name.text}` does not say how it starts"
        note = "plain tensors have no default: a scale starts elsewhere than a shift"
        hint = "add `init zeros`, `init ones`, `init normal(0.02)`, …"
        if integer:
            note = "tensors of integers have no default: places start elsewhere than counts"
            hint = "add `init arange`, `init zeros` or `init ones`"
        raise failure(Code.WRONG_ARGUMENT, message, name.span, "no `init`", note, hint)
    stored: dict[Key, PlainTensor] = {}
    test = None if condition is None else condition.condition
    for key, inner in unroll(reader, statement.subscripts, test, name.span):
        shape = tuple([_entries(inner, leg) for leg in statement.legs])
        own = shared_key(statement.subscripts, share, key)
        if tie is not None:
            family.members[key] = _value(reader, _tied(inner, tie, key, name, shape))
            continue
        init = ResolvedInit("zeros") if scheme is None else _init(inner, scheme)
        tensor = stored.get(own)
        if tensor is None:
            tensor = PlainTensor(
                name.text,
                key,
                own,
                shape,
                init,
                integer or attribute(attributes, tree.Frozen) is not None,
                attribute(attributes, tree.Complex) is not None,
                integer,
                declared=name.span,
            )
            stored[own] = tensor
        elif (tensor.shape, tensor.init) != (shape, init):
            assert share is not None
            full, note = member_name(name.text, key), "members that share a tensor are one"
            message = f"`{full}` cannot share its tensor: it starts in another way"
            label, hint = "shared along this subscript", "leave the subscript out of `init`"
            there = Label(scheme.span if scheme else name.span, "this depends on the subscript")
            if tensor.shape != shape:
                message = f"`{full}` cannot share its tensor: the shapes differ"
                label = f"this member has the shape {list(shape)}"
                hint = "give them equal sizes, or do not share"
                there = Label(name.span, f"the first one has {list(tensor.shape)}")
            place = share.names[0].span
            raise failure(Code.SHAPES_DIFFER, message, place, label, note, hint, there)
        family.members[key] = _value(reader, tensor)
    return family, list(stored.values())


def tied_paths(statement: tree.TensorStatement, family: Family) -> dict[str, str]:
    """The keys that tied members would have, and those of the tensors that they are."""
    share = attribute(statement.attributes, tree.Share)
    paths: dict[str, str] = {}
    for key, member in family.members.items() if attribute(statement.attributes, tree.Tie) else ():
        assert isinstance(member, Value)
        assert isinstance(member.operation, Stored)
        own = shared_key(statement.subscripts, share, key)
        paths[".".join([statement.name.text, *map(str, own)])] = member.operation.tensor.path
    return paths


def _value(reader: Reader, tensor: PlainTensor) -> Value:
    operation = Stored(tensor=tensor, span=tensor.declared)
    shape = Shape(tuple(map(Size.number, tensor.shape)))
    return reader.typing.value(operation, tensor.kind, shape)


def _entries(reader: Reader, leg: tree.Leg) -> int:
    """The size of a leg of a stored tensor: a number."""
    if isinstance(leg, tree.Dots) or not isinstance(leg, tree.Expression):
        message, label = "a stored tensor has no `...`", "not here"
        note, hint = "its shape is known when the model is instantiated", "write its sizes"
        raise failure(Code.BAD_SIZE, message, leg.span, label, note, hint)
    size = reader.integer(leg)
    if 1 <= size <= LARGEST_SIZE:
        return size
    message = f"a leg of size {size}"
    note, hint = "sizes reach from 1 to 2**40", "give it a size of at least 1"
    raise failure(Code.BAD_SIZE, message, leg.span, f"this is {size}", note, hint)


def _init(reader: Reader, written: tree.Scheme) -> ResolvedInit:
    scheme = cast(SchemeName, written.name.text)
    if not written.arguments:
        return ResolvedInit(scheme)
    node = written.arguments[0].value
    number = reader.number(node)
    if isinstance(number, bool) or not isinstance(number, int | float):
        message, note = "a scheme takes a number", "a deviation, a bound or a value"
        hint = f"write a number: `{scheme}(0.02)`"
        raise failure(Code.WRONG_TYPE, message, node.span, "no number", note, hint)
    if not math.isfinite(number):
        message, note = f"a scheme takes a finite number, not {number}", "tensors start finite"
        hint = f"write a finite number: `{scheme}(0.02)`"
        raise failure(Code.WRONG_ARGUMENT, message, node.span, f"this is {number}", note, hint)
    if number < 0 and scheme != "constant":
        message = "the argument of a scheme cannot be negative"
        note = "`normal` takes a standard deviation, `uniform` the bound of its range"
        hint = "give the magnitude"
        raise failure(Code.WRONG_ARGUMENT, message, node.span, f"this is {number}", note, hint)
    return ResolvedInit(scheme, float(number))


def _tied(
    reader: Reader, tie: tree.Tie, key: Key, name: tree.Name, shape: tuple[int, ...]
) -> PlainTensor:
    """The tensor that a member is; TN306 where the shapes differ."""
    other = reader.names.get(tie.name.text)
    if other is None:
        raise Failed(None)
    if not isinstance(other, Family) or other.what != "tensor":
        message = f"`{tie.name.text}` is no tensor"
        note, hint = "a tensor is tied to a tensor that is declared above", "name a tensor here"
        raise failure(Code.UNKNOWN_NAME, message, tie.name.span, "no tensor", note, hint)
    wanted = reader.key(tie.subscripts) if tie.subscripts else key
    member = other.member(wanted, tie.span)
    assert isinstance(member, Value)
    assert isinstance(member.operation, Stored)
    target = member.operation.tensor
    if target.shape == shape:
        return target
    full, there = member_name(name.text, key), member_name(tie.name.text, wanted)
    message = f"`{full}` cannot be tied to `{there}`: the shapes differ"
    note, hint = "tied tensors are one tensor", "give the legs equal sizes"
    label = Label(other.name.span, f"`{there}` has the shape {list(target.shape)}")
    here = f"`{full}` has the shape {list(shape)}"
    raise failure(Code.SHAPES_DIFFER, message, tie.name.span, here, note, hint, label)
