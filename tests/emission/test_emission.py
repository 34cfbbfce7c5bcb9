"""Emitted source: it means what the network means, reads well, and is the same every time."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import tncompile
from tests.support.brute_force import random_tensors
from tests.support.emitted import evaluated, run_alone
from tests.support.modules import Subject, tensors
from tests.support.oracle import contract
from tests.support.strategies import Sketch, network, random_sketch, random_tree
from tncompile.compiler import norm_program, plan_network
from tncompile.emission import ClassSource, GeneratedModule, emit, emit_class, write_file
from tncompile.emission.steps.expressions import Scope
from tncompile.emission.steps.statements import write_steps
from tncompile.emission.text.identifiers import MODULE_ATTRIBUTES, Names, hidden, identifier
from tncompile.emission.text.members import ParameterAccess
from tncompile.initialization.draws import initialize
from tncompile.lowering import lower
from tncompile.network.model import DOTS, TensorNetwork
from tncompile.planning.request import plan_request
from tncompile.program.operation import Operation, sources
from tncompile.program.operations import Argument, Cat, IndexSelect, Stack, Unbind
from tncompile.program.program import Extent, Step, TensorProgram, Value
from tncompile.program.variants import Branches

ROOT = Path(__file__).parents[2]


def generated(net: TensorNetwork, seed: int) -> GeneratedModule:
    """The module of a network along a tree that the seed decides."""
    planned = plan_network(net, plan_request(net, search="fast"))
    program = lower(net, random_tree(net, seed))
    return emit(net, planned, Branches.single(program), initialize(net, norm_program))


def due(sketch: Sketch, parameters: dict[str, Tensor], inputs: dict[str, Tensor]) -> Tensor:
    """The output by brute force, `...` as one axis."""
    operands: list[tuple[Tensor, tuple[str, ...]]] = []
    for name, legs in sketch.inputs.items():
        value = inputs[name]
        if name in sketch.ids:
            sizes = [sketch.sizes[leg] or 1 for leg in sketch.ids[name]]
            eye = torch.eye(int(torch.tensor(sizes).prod()), dtype=torch.float64)
            value = eye[value].reshape(*value.shape, *sizes)
        operands.append((value.flatten(0, 1) if DOTS in legs else value, legs))
    operands += [(parameters[name], legs) for name, legs in sketch.weights.items()]
    made = contract(operands, sketch.output)
    if sketch.bias:
        ones = [
            (torch.ones(size), (leg,)) for size, leg in zip(made.shape, sketch.output, strict=True)
        ]
        made = made + contract([(parameters["beta"], sketch.bias), *ones], sketch.output)
    return made


@given(seed=st.integers(0, 2**32), log=st.booleans())
@settings(max_examples=60)
def test_the_source_alone_is_the_sum_of_products(seed: int, log: bool) -> None:
    sketch = random_sketch(seed)
    if log:
        sketch = Sketch(sketch.sizes, sketch.inputs, sketch.weights, sketch.output, sketch.ids)
    made = generated(network(sketch, log=log), seed)
    module = run_alone(made)().double()
    parameters, inputs = random_tensors(sketch, seed)
    module.load_state_dict(parameters)
    leaves = [x.requires_grad_() if x.is_floating_point() else x for x in inputs.values()]
    value = module(*leaves)
    if log:
        assume(bool((value[0] != 0).all()))  # the logarithm of zero has no derivative
        value = value[0] * value[1].exp()
    fresh = {name: held.clone().requires_grad_() for name, held in parameters.items()}
    wanted = due(sketch, fresh, dict(zip(inputs, leaves, strict=True)))
    close(value.flatten(), wanted.flatten())
    held = dict(module.named_parameters())
    floats = [x for x in leaves if x.requires_grad]
    if not (held or floats):
        return
    weights = torch.randn(value.shape, dtype=torch.float64, generator=torch.Generator())
    first = gradients((value * weights).sum(), [*held.values(), *floats])
    again = gradients(
        (wanted.reshape(value.shape) * weights).sum(), [*(fresh[k] for k in held), *floats]
    )
    for one, other in zip(first, again, strict=True):
        close(one, other)


def close(value: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(value.double(), wanted.double(), rtol=1e-9, atol=1e-9)


def gradients(value: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    """Gradients; zeros for what the value does not depend on."""
    if not value.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    found = torch.autograd.grad(value, leaves, allow_unused=True)
    return [
        torch.zeros_like(leaf) if grad is None else grad
        for leaf, grad in zip(leaves, found, strict=True)
    ]


# ── single operations ──────────────────────────────────────────────────────────────────────────


def written(steps: list[Operation], shapes: dict[str, tuple[int, ...]], result: str) -> list[str]:
    """The lines of a program made by hand over one input `x`."""
    last = {name: k for k, operation in enumerate(steps) for name in sources(operation)}
    values = {
        name: Value(
            name,
            tuple((f"i{k}",) for k in range(len(shape))),
            tuple(map(Extent, shape)),
            tuple(map(Extent, shape)),
            name,
            False,
            True,
        )
        for name, shape in shapes.items()
    }
    made = tuple(
        Step(operation, drops=tuple(name for name, at in last.items() if at == k and name != "x"))
        for k, operation in enumerate(steps)
    )
    program = TensorProgram(values, made, (result,), ())
    scope = Scope(Names(["x"]), ParameterAccess(()), {"x": "x"}, {}, "x.dtype", "x.device")
    found = write_steps(program, scope)
    return [*found.lines, f"return {found.results[0]}"]


def test_slices_that_were_unbound_are_stacked_as_a_slice() -> None:
    names = tuple(f"x_{k}" for k in range(1, 7))
    steps = [
        Argument("x", "x"),
        Unbind(names, "x", 0),
        Stack("s", names[1:6:2]),
        Cat("c", names[:2]),
    ]
    shapes = {"x": (6, 4), "s": (3, 4), "c": (8,)} | dict.fromkeys(names, (4,))
    lines = written(steps, shapes, "s")
    assert "s = torch.stack(x_slices[1:6:2])  # (i0, i1)" in lines
    x = torch.randn(6, 4)
    torch.testing.assert_close(evaluated(lines, x), x[1::2])
    torch.testing.assert_close(evaluated(written(steps, shapes, "c"), x), x[:2].flatten())


@pytest.mark.parametrize("count", [3, 20, 400])
def test_gather_names_its_positions(count: int) -> None:
    positions = tuple((7 * k * k) % 97 for k in range(count))
    steps = [Argument("x", "x"), IndexSelect("g", "x", positions)]
    lines = written(steps, {"x": (97, 2), "g": (count, 2)}, "g")
    x = torch.randn(97, 2)
    torch.testing.assert_close(evaluated(lines, x), x[list(positions)])
    text = "def f(x):\n    if x:\n" + "".join(f"        {line}\n" for line in lines)
    assert ruff_formatted(text) == text


# ── several networks in a file ─────────────────────────────────────────────────────────────────


def class_source(text: str) -> ClassSource:
    """The classes of the only network of a spec."""
    net = tncompile.loads(text).instantiate().network
    program = lower(net, random_tree(net, 0))
    planned = plan_network(net, plan_request(net, search="fast"))
    return emit_class(net, planned, Branches.single(program), initialize(net, norm_program))


CHAIN = """network Chain() {
 index i[k in 0..3] = 2, o = 3
 bond b[k in 0..3] = 4
 input x(..., (i[*]))
 tensor G[k in 0..3](b[k - 1]?, i[k], b[k])
 tensor Last(b[2], o)
 output y(..., o)
}"""
GRID = """network Grid() {
 index i[r in 0..2, c in 0..2] = 2, v = 3, o = 3
 input ids(..., onehot(v))
 input x(..., (i[0, *], i[1, *]))
 tensor V[r in 0..2, c in 0..2](i[r, c])
 tensor Table(v, o)
 output y(..., o)
}"""


def test_a_file_holds_several_networks() -> None:
    sources = class_source(CHAIN), class_source(GRID)
    made = write_file(sources)
    assert made.class_name == "Chain"
    for once in ("import torch\n", "class _Family(", "def _check_dtype(", "def _described("):
        assert made.source.count(once) == 1
    for source in sources:
        own = run_alone(write_file((source,)))()
        both = run_alone(replace(made, class_name=source.name))()
        both.load_state_dict(own.state_dict())
        given = [torch.randn(5, 8)] if source.name == "Chain" else [torch.arange(5) % 3,
                                                                    torch.randn(5, 16)]  # fmt: skip
        for one, other in ((own, both), (own.fold(), both.fold())):
            torch.testing.assert_close(one(*given), other(*given))
    assert ruff_formatted(made.source) == made.source
    with pytest.raises(ValueError, match="two networks of one file define `Chain`"):
        write_file((sources[0], sources[0]))


def ruff_formatted(source: str) -> str:
    """The source as ruff lays it out."""
    command = [sys.executable, "-m", "ruff", "format", "--line-length=100", "-"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout


# ── size ───────────────────────────────────────────────────────────────────────────────────────


def test_a_long_family_takes_few_lines() -> None:
    chain = Subject("oddities", "Chain(n = 1000)")
    source = chain.architecture.source()
    assert len(source[source.index("\nclass Chain(") :].splitlines()) < 600
    assert "for k in range(1, 1000):" in source
    assert "self.G.at(" in source
    value = chain.module()(*chain.inputs(2))
    assert bool(tensors(value)[0].isfinite().all())


# ── names ──────────────────────────────────────────────────────────────────────────────────────


def test_names_that_modules_use_themselves_are_known() -> None:
    own = {name for name in dir(nn.Module()) if not name.startswith("_")}
    assert own <= MODULE_ATTRIBUTES
    assert all(map(hidden, ("train", "half", "None", "lambda", "forward", "reset_parameters")))


@pytest.mark.parametrize("tensor", ["batch_invariant(i, o)", "batch_invariant[k in 0..1](i, o)"])
@pytest.mark.parametrize("batch_invariant", [False, True])
def test_a_tensor_called_batch_invariant(tensor: str, batch_invariant: bool) -> None:
    text = f"network N() {{ index i = 3, o = 2 input x(..., i) tensor {tensor} output y(..., o) }}"
    arch = tncompile.loads(text).instantiate()
    module = arch.module(search="fast", batch_invariant=batch_invariant)
    (held,) = module.parameters()
    x = torch.randn(4, 3)
    torch.testing.assert_close(module(x), x @ held)
    torch.testing.assert_close(module.fold()(x), x @ held)


def test_identifiers_are_distinct_and_given_back() -> None:
    names = Names(["self"])
    assert [names.fresh(text) for text in ("t", "t", "G[1]", "G_1", "self", "B")] == [
        "t", "t1", "G_1", "G_1_1", "self_", "B_",
    ]  # fmt: skip
    names.release("t")
    assert [names.fresh("t"), names.fresh("t")] == ["t", "t2"]
    assert identifier("2 + 2") == "t_2_2"


def test_documentation_cannot_leave_its_string() -> None:
    text = '"""A \\"quoted\\" \\\\ slash \\\\" and a very long line ' + "word " * 40 + '"""\n'
    text += "network N() {\n index i = 2\n input x(..., i)\n tensor A(i)\n output y(...)\n}\n"
    source = tncompile.loads(text).instantiate().source()
    tree = ast.parse(source)
    found = next(node for node in tree.body if isinstance(node, ast.ClassDef))
    assert "slash" in (ast.get_docstring(found) or "")
    assert all(len(line) <= 100 for line in source.splitlines())
