"""Loops over parts of the batch: the same numbers, and nothing of a turn that outlives it."""

from __future__ import annotations

import ast
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tncompile
from tests.support.emitted import evaluated
from tests.support.looped import LOOPED, generated
from tests.support.modules import ALL, Subject, tensors
from tests.support.strategies import random_tree
from tncompile.compiler import norm_program
from tncompile.emission import emit
from tncompile.emission.loading import instantiate
from tncompile.emission.steps.expressions import Scope
from tncompile.emission.steps.statements import write_steps
from tncompile.emission.text.identifiers import Names
from tncompile.emission.text.members import ParameterAccess
from tncompile.initialization.draws import initialize
from tncompile.lowering import lower
from tncompile.lowering.schedule import Schedule
from tncompile.program.interpreter import run_program as run
from tncompile.program.layout import contiguous
from tncompile.program.operation import Operation, results
from tncompile.program.operations import (
    Add,
    Argument,
    Chunk,
    ConcatChunks,
    MatMul,
    Multiply,
    Permute,
)
from tncompile.program.program import ONE, Extent, Loop, Step, TensorProgram, Value
from tncompile.program.rewriting import fingerprint, straightened
from tncompile.program.variants import Branch, Branches


def test_most_modules_can_run_part_by_part() -> None:
    assert len(LOOPED) > len(ALL) / 2


@given(index=st.integers(0, len(LOOPED) - 1), tree=st.integers(0, 99), rows=st.integers(1, 9),
       batch=st.integers(0, 20))  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_a_loop_computes_what_is_computed_at_once(
    index: int, tree: int, rows: int, batch: int
) -> None:
    subject = LOOPED[index]
    net = subject.network
    program = lower(net, random_tree(net, tree), Schedule(chunk_rows=rows))
    parameters = dict(subject.module(torch.float64).state_dict())
    given = subject.inputs(batch, dtype=torch.float64, sizes={"n": batch, "s": 2, "t": 3})
    inputs = dict(zip((held.name for held in net.inputs), given, strict=True))
    made = run(net, program, parameters, inputs)
    due = run(net, straightened(program), parameters, inputs)
    for one, other in zip(tensors(made), tensors(due), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("subject", LOOPED, ids=str)
def test_the_source_of_a_loop_is_its_meaning(subject: Subject) -> None:
    net = subject.network
    program = lower(net, random_tree(net, 4), Schedule(chunk_rows=3))
    module = instantiate(generated(subject, program), dtype=torch.float64, seed=0)
    parameters = {key: value.detach() for key, value in module.state_dict(keep_vars=True).items()}
    for batch in (0, 1, 3, 7):
        given = subject.inputs(batch, dtype=torch.float64, sizes={"n": batch, "s": 2, "t": 3})
        leaves = [x.requires_grad_() if x.is_floating_point() else x for x in given]
        made = module(*leaves)
        inputs = dict(zip((held.name for held in net.inputs), leaves, strict=True))
        due = run(net, straightened(program), parameters, inputs)
        assert isinstance(due, Tensor)
        torch.testing.assert_close(made.flatten(), due.flatten(), rtol=1e-10, atol=1e-10)
        floats = [x for x in leaves if x.requires_grad]
        if floats and made.requires_grad:
            one = torch.autograd.grad(made.sin().sum(), floats, allow_unused=True)
            other = torch.autograd.grad(due.sin().sum(), floats, allow_unused=True)
            for a, b in zip(one, other, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_an_axis_that_is_not_the_first_is_split_along_it() -> None:
    text = "network N() {\n batch n\n index i = 2, o = 3\n input x(i, n)\n tensor A(i, o)\n"
    arch = tncompile.loads(text + " output y(o, n)\n}\n").instantiate()
    program = lower(arch.network, random_tree(arch.network, 0), Schedule(chunk_rows=4))
    assert program.loop is not None
    only = (Branch(program, None, ""),)
    branches = Branches(straightened(program), only, only, only)
    made = emit(arch.network, arch.plan(), branches, initialize(arch.network, norm_program))
    assert "in torch.split(x, 4, dim=1):" in made.source
    assert "torch.cat(parts, dim=1)" in made.source
    module = instantiate(made, seed=0)
    x = torch.randn(2, 10)
    due = dict(module.named_parameters())["A"].t() @ x
    torch.testing.assert_close(module(x), due)
    assert module(x[:, :0]).shape == (3, 0)


def test_parameters_are_laid_out_before_the_loop() -> None:
    subject = next(subject for subject in LOOPED if str(subject) == "MPO")
    program = lower(subject.network, random_tree(subject.network, 4), Schedule(chunk_rows=3))
    source = generated(subject, program).source
    for loop in source.split("        for x")[1:]:
        turn = loop.split("torch.cat(parts)")[0]
        assert "self." not in turn
        assert "parts.append(" in turn


# ── a loop made by hand ────────────────────────────────────────────────────────────────────────


def value(
    name: str, shape: tuple[Extent, ...], storage: str = "", strides: tuple[Extent, ...] = ()
) -> Value:
    """A value over anonymous axes, row-major unless there are strides."""
    axes = tuple((f"i{k}",) for k in range(len(shape)))
    strides = strides or contiguous(shape)
    return Value(name, axes, shape, strides, storage or name, False, True)


def by_hand() -> TensorProgram:
    """(x^T x^T)^T z of every part, where x^T is computed before and z is cut as well; then twice.

    The batch is the first axis of `x` and of `z`; it is the second axis of a product that is cut.
    """
    n, part, k = Extent(1, ("n",)), Extent(1, ("n'",)), Extent(3)
    operations: list[tuple[Operation, Value, tuple[str, ...]]] = [
        (Argument("x", "x"), value("x", (n, k)), ()),
        (Argument("w", "w"), value("w", (k, k)), ()),
        (Permute("x_1", "x", (1, 0)), value("x_1", (k, n), "x", (ONE, k)), ()),
        (MatMul("t1", "w", "x_1"), value("t1", (k, n)), ("x_1",)),
        (Chunk("t1_1", "t1", 1), value("t1_1", (k, part), "t1", (n, ONE)), ()),
        (Chunk("x_2", "x", 0), value("x_2", (part, k), "x"), ()),
        (Permute("t1_2", "t1_1", (1, 0)), value("t1_2", (part, k), "t1", (ONE, n)), ("t1_1",)),
        (Multiply("t2", "t1_2", "x_2"), value("t2", (part, k)), ("t1_2", "x_2")),
        (MatMul("t3", "t2", "w"), value("t3", (part, k)), ()),
        (Add("t4", "t3", "t2"), value("t4", (part, k)), ("t3", "t2")),
        (ConcatChunks("t5", "t4", 0), value("t5", (n, k)), ("x", "t1", "w", "t4")),
        (Add("t6", "t5", "t5"), value("t6", (n, k)), ("t5",)),
    ]
    steps = tuple(Step(operation, drops=drops) for operation, _, drops in operations)
    values = {held.name: held for _, held, _ in operations}
    return TensorProgram(values, steps, ("t6",), ("n",), Loop("n", "n'", 4, 4, 11))


def lines_by_hand() -> list[str]:
    """Its text."""
    names = Names(["x", "w", "n"])
    arguments = {"x": "x", "w": "w"}
    scope = Scope(names, ParameterAccess(()), arguments, {"n": "n"}, "x.dtype", "x.device")
    found = write_steps(by_hand(), scope)
    return [*found.lines, f"return {found.results[0]}"]


def test_several_inputs_are_cut_together() -> None:
    lines = lines_by_hand()
    text = "\n".join(lines)
    assert "for t1, x1 in zip(torch.split(t, 4, dim=1), torch.split(x, 4), strict=True):" in text
    assert "torch.cat(parts)" in text
    x, w = torch.randn(10, 3), torch.eye(3) * 2
    made = evaluated(["w = 2 * torch.eye(3)", *lines], x)
    due = (w @ x.t()).t() * x
    torch.testing.assert_close(made, 2 * (due @ w + due))


def test_nothing_of_the_last_turn_stays_alive() -> None:
    """Every name that a turn binds is deleted or bound anew, but for views of the arguments."""
    tree = ast.parse("def f(x, w, n):\n" + "\n".join(f"    {line}" for line in lines_by_hand()))
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    (position,) = (k for k, held in enumerate(function.body) if isinstance(held, ast.For))
    loop = function.body[position]

    def bound(node: ast.AST, context: type[ast.expr_context]) -> set[str]:
        return {
            held.id
            for held in ast.walk(node)
            if isinstance(held, ast.Name) and isinstance(held.ctx, context)
        }

    after = [set().union(*(bound(k, kind) for k in function.body[position + 1 :]))
             for kind in (ast.Store, ast.Del)]  # fmt: skip
    left = bound(loop, ast.Store) - bound(loop, ast.Del) - after[0] - after[1]
    assert left <= {"x1", "n1"}
    assert {"parts", "t"} <= after[0] | after[1]


def test_programs_are_compared_without_their_names() -> None:
    program = by_hand()
    straight = straightened(program)
    assert straight.loop is None
    assert not any(isinstance(step.operation, Chunk | ConcatChunks) for step in straight.steps)
    assert fingerprint(program) != fingerprint(straight)
    assert fingerprint(straight) == fingerprint(straightened(straight))
    kept = {name for step in straight.steps for name in results(step.operation)}
    assert kept == set(straight.values)
    assert all("n'" not in extent.names for held in straight.values.values()
               for extent in held.shape)  # fmt: skip
    x, w = torch.randn(10, 3), 2 * torch.eye(3)
    scope = Scope(
        Names(["x", "w"]), ParameterAccess(()), {"x": "x", "w": "w"}, {"n": "len(x)"}, "", ""
    )
    found = write_steps(straight, scope)
    made = evaluated(["w = 2 * torch.eye(3)", *found.lines, f"return {found.results[0]}"], x)
    due = (w @ x.t()).t() * x
    torch.testing.assert_close(made, 2 * (due @ w + due))
    assert math.prod(made.shape) == 30
