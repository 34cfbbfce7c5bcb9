"""Every operation of tensor programs has what is registered by class."""

from __future__ import annotations

import inspect
from dataclasses import fields

import pytest

from tncompile.emission.steps.expressions import WRITTEN
from tncompile.program import operations as op
from tncompile.program.interpreter import EVALUATED
from tncompile.program.operation import (
    Operation,
    Unary,
    attributes,
    parameter_keys,
    renamed,
    results,
    sources,
)
from tncompile.program.operations import OPERATIONS
from tncompile.program.program import ONE, Extent, Loop
from tncompile.program.verifying import derived_shapes
from tncompile.simulation.tape import SIMULATED, TAPED
from tncompile.simulation.trace import trace


def test_every_class_of_the_module_is_an_operation() -> None:
    classes = {
        kind
        for kind in vars(op).values()
        if inspect.isclass(kind) and kind.__module__ == op.__name__ and not kind.__subclasses__()
    }
    assert classes == set(OPERATIONS)


@pytest.mark.parametrize("kind", OPERATIONS, ids=lambda kind: kind.__name__)
def test_every_operation_is_registered(kind: type[Operation]) -> None:
    assert trace
    assert kind in EVALUATED, "no rule with `evaluates`"
    assert (kind in SIMULATED) != (kind in TAPED), "no rule with `simulates`, or two"
    assert kind in WRITTEN, "no rule with `writes`"
    assert kind.def_fields, "no result is annotated as `Def`"
    named = {*kind.use_fields, *kind.def_fields, *kind.key_fields}
    texts = {field.name for field in fields(kind) if "str" in str(field.type)}
    assert texts - named <= {"input"}, "a name of a value is annotated as `Use` or `Def`"


@pytest.mark.parametrize("kind", OPERATIONS, ids=lambda kind: kind.__name__)
def test_the_shape_of_every_operation_is_known_or_free(kind: type[Operation]) -> None:
    numbers = {"int": 0, "bool": False, "tuple[int, ...]": (0,)}
    names = {field.name: ("a",) if "tuple" in str(field.type) else "a" for field in fields(kind)}
    filled = {field.name: numbers.get(str(field.type)) for field in fields(kind)}
    operation = kind(**{name: names[name] if k is None else k for name, k in filled.items()})
    shape = (Extent(4), ONE)
    try:
        shapes = list(derived_shapes(operation, [shape, shape], shape, Loop("b", "c", 1, 0, 1)))
    except ValueError:  # there is a rule, which these operands do not fit
        return
    assert bool(shapes) != kind.has_free_shape, "elementwise, a shape of its own, or a free one?"


def test_an_operation_of_which_no_shape_is_known_is_no_program() -> None:
    class Softsign(Unary):
        """One that says nothing of its shape."""

    class Rectified(Unary, is_elementwise=True):
        """One that says what it is."""

    shape = (Extent(4), Extent(5))
    with pytest.raises(TypeError, match="no rule says the shape of Softsign"):
        list(derived_shapes(Softsign("t1", "a"), [shape], shape, None))
    assert list(derived_shapes(Rectified("t1", "a"), [shape], shape, None)) == [shape]
    with pytest.raises(TypeError, match="`is_pointwise` is not a flag"):
        type("Other", (Unary,), {}, is_pointwise=True)


def test_names_are_derived_from_annotations() -> None:
    product = op.MatMul("t1", "a", "b")
    assert sources(product) == ("a", "b")
    assert sources(op.MatMul("t1", "a", "b", "bias")) == ("a", "b", "bias")
    assert results(op.Unbind(("t1", "t2"), "a", 0)) == ("t1", "t2")
    assert renamed(op.Stack("s", ("a", "b")), {"a": "c", "s": "t"}) == op.Stack("t", ("c", "b"))
    assert renamed(product, {"b": "d"}) == op.MatMul("t1", "a", "d")
    assert parameter_keys(op.StackParameters("s", ("G.0", "G.1"))) == ("G.0", "G.1")
    assert attributes(op.Sum("t1", "a", (0, 2))) == (("axes", (0, 2)),)
