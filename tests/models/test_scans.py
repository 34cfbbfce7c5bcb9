"""`scan` against a loop of the cell: values, gradients, what goes ahead, graphs of any length."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

import tncompile
from tests.support.emitted import ruff, write_rules
from tncompile.model import Model
from tncompile.models.reach import reached, usual_sizes


def module_of(text: str, block: str = "M") -> nn.Module:
    """The compiled block, in float64."""
    compiled = tncompile.loads(text).instantiate(block)
    return compiled.module(dtype=torch.float64, seed=0, search="fast")


def source_of(text: str, block: str = "M") -> str:
    compiled = tncompile.loads(text).instantiate(block)
    assert isinstance(compiled, Model)
    return compiled.source(search="fast")


def cell_of(text: str, module: nn.Module) -> nn.Module:
    """The cell by itself, as no `scan` calls it, with the tensors of the module's."""
    cell = module_of(text, "Cell")
    inner = module.get_submodule("cell").state_dict()
    cell.load_state_dict(inner, strict=True)
    return cell


def looped(
    cell: nn.Module, xs: list[Tensor], state: list[Tensor], dim: int, *, reverse: bool = False
) -> list[Tensor]:
    """Outputs, then the last state; `dim` is where the steps are, counted from the left."""
    steps = range(xs[0].shape[dim])
    kept: list[list[Tensor]] = []
    for k in reversed(steps) if reverse else steps:
        made = cell(*(x.select(dim, k) for x in xs), *state)
        results = [made] if isinstance(made, Tensor) else [*made]
        state = results[-len(state) :]
        kept.append(results[: -len(state)] or state[:1])
    outputs = [
        torch.stack(each[::-1] if reverse else each, dim) for each in zip(*kept, strict=True)
    ]
    return [*outputs, *state]


# ── random cells ───────────────────────────────────────────────────────────────────────────────


@dataclass
class Drawn:
    """A random cell and a model that runs it: declarations, statements, values with their width."""

    random: random.Random
    declared: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    values: list[tuple[str, int]] = field(default_factory=list)
    frozen: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        draw = self.random
        self.between = draw.random() < 0.3
        self.reverse = draw.random() < 0.3
        self.xs = [(f"x{k}", draw.randint(1, 3)) for k in range(draw.randint(1, 3))]
        self.state = [(f"h{k}", draw.randint(1, 3)) for k in range(draw.randint(1, 2))]
        self.values = [*self.xs, *self.state]
        for _ in range(draw.randint(3, 9)):
            self.statement()
        self.outputs = draw.sample(self.values, draw.randint(0, 2))
        self.new = [f"tanh({self.linear(width)})" for _, width in self.state]

    def name(self, letter: str) -> str:
        return f"{letter}{len(self.declared) + len(self.lines)}"

    def linear(self, width: int) -> str:
        name, given = self.name("p"), self.random.choice(self.values)
        self.declared.append(f"part {name} = Linear({given[1]}, {width})")
        return f"{name}({given[0]})"

    def statement(self) -> None:
        draw, (value, width) = self.random, self.random.choice(self.values)
        new, tensor = self.name("v"), self.name("w")
        match draw.randrange(7):
            case 0 | 1:
                width = draw.randint(1, 3)
                text = self.linear(width)
            case 2:
                text = f"sigmoid({value}) * {self.linear(width)}"
            case 3:
                self.declared.append(f"tensor {tensor}({width}) init normal(1.0)")
                text = f"{value} * exp({tensor})"
            case 4:
                other, more = draw.choice(self.values)
                text, width = f"concat({value}, {other}, dim = -1)", width + more
            case 5:
                self.declared.append(f"tensor {tensor}({width}, 2) init normal(1.0)")
                text = f"network {{ {value}(..., i), {tensor}(i, j) -> (..., j) }}"
                width = 2
            case _:
                text = f"{value} * linspace(0.5, 1.5, {width}) - 0.5"
        self.lines.append(f"let {new} = {text}")
        self.values.append((new, width))

    @property
    def text(self) -> str:
        between = "2, " * self.between
        inputs = [f"input {name}(..., {width})" for name, width in [*self.xs, *self.state]]
        results = [*(name for name, _ in self.outputs), *self.new]
        given = f"({', '.join(results)})" if len(results) > 1 else results[0]
        whole = [f"input {name}(..., t, {between}{width})" for name, width in self.xs]
        whole += [f"input {name}(..., {between}{width})" for name, width in self.state]
        xs, state = (
            f"({', '.join(name for name, _ in each)})" if len(each) > 1 else each[0][0]
            for each in (self.xs, self.state)
        )
        reverse = ", reverse = true" * self.reverse
        names = ", ".join(f"r{k}" for k in range((len(self.outputs) or 1) + len(self.state)))
        cell = "\n  ".join([*self.declared, *inputs, *self.lines, f"output {given}"])
        model = "\n  ".join(
            [
                "part cell = Cell()",
                "batch t",
                *whole,
                f"let ({names}) = scan(cell, {xs}, {state}, dim = t{reverse})",
                f"output ({names})",
            ]
        )
        return f"model Cell() {{\n  {cell}\n}}\n\nmodel M() {{\n  {model}\n}}\n"

    def inputs(self, lead: tuple[int, ...], steps: int) -> tuple[list[Tensor], list[Tensor]]:
        between = (2,) * self.between
        generator = torch.Generator().manual_seed(steps)

        def drawn(*shape: int) -> Tensor:
            made = torch.randn(shape, dtype=torch.float64, generator=generator)
            return made.requires_grad_()

        xs = [drawn(*lead, steps, *between, width) for _, width in self.xs]
        return xs, [drawn(*lead, *between, width) for _, width in self.state]


def agree(ours: list[Tensor], theirs: list[Tensor], sources: list[Tensor]) -> None:
    """Values and gradients are equal."""
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)

    def gradients(results: list[Tensor]) -> tuple[Tensor | None, ...]:
        loss = sum(
            (each * torch.arange(each.numel()).view_as(each).cos()).sum() for each in results
        )
        assert isinstance(loss, Tensor)
        return torch.autograd.grad(loss, sources, allow_unused=True)

    for first, second in zip(gradients(ours), gradients(theirs), strict=True):
        if first is None or second is None:
            assert first is second
        else:
            torch.testing.assert_close(first, second, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("seed", range(25))
def test_random_cells(seed: int) -> None:
    drawn = Drawn(random.Random(seed))
    module = module_of(drawn.text)
    cell = cell_of(drawn.text, module)
    for lead, steps in (((), 1), ((2,), 4), ((2, 3), 2), ((0,), 3)):
        xs, state = drawn.inputs(lead, steps)
        ours = list(module(*xs, *state))
        theirs = looped(cell, xs, state, len(lead), reverse=drawn.reverse)
        if 0 in lead:
            assert [each.shape for each in ours] == [each.shape for each in theirs]
        else:
            agree(ours, theirs, [*xs, *state])


# ── cells by hand ──────────────────────────────────────────────────────────────────────────────

GRU = """
model Cell() {
  part wx = Linear(3, 12)
  part wh = Linear(4, 12)
  input x(..., 3)
  input h(..., 4)
  let (xr, xz, xn) = chunk(wx(x), 3, dim = -1)
  let (hr, hz, hn) = chunk(wh(h), 3, dim = -1)
  let z = sigmoid(xz + hz)
  output (1 - z) * tanh(xn + sigmoid(xr + hr) * hn) + z * h
}
"""

ONE = """
model M() {
  part cell = Cell()
  batch t
  input x(..., t, 3)
  let (ys, last) = scan(cell, x, zeros((..., 4)), dim = t)
  output (ys, last)
}
"""


PARTS = (("wx", "ih"), ("wh", "hh"))


def gru_of_torch(module: nn.Module) -> nn.GRUCell:
    cell = nn.GRUCell(3, 4, dtype=torch.float64)
    state = module.state_dict()
    keys = ("weight", "bias")
    pairs = {f"{key}_{there}": f"cell.{ours}.{key}" for key in keys for ours, there in PARTS}
    cell.load_state_dict({theirs: state[ours] for theirs, ours in pairs.items()}, strict=True)
    return cell


def test_a_gru() -> None:
    module = module_of(GRU + ONE)
    x = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    start = torch.zeros(2, 4, dtype=torch.float64)
    agree(list(module(x)), looped(gru_of_torch(module), [x], [start], 1), [x])


def test_the_product_of_all_inputs_goes_ahead() -> None:
    text = source_of(GRU + ONE)
    assert "xr, xz, xn = self.cell._ahead(x)  # each (..., t, 4)" in text
    assert "h = self.cell._advance(xr_t, xz_t, xn_t, h)" in text.replace("last", "h")
    assert "return self._advance(*self._ahead(x), h)" in text


def ahead(text: str) -> str:
    """The method of what goes ahead; empty where there is none."""
    return text.partition("def _ahead")[2].partition("def ")[0]


CELL = """
model Cell() {{
  {}
}}

model M() {{
  part cell = Cell()
  batch t{}
  input x({}, 4)
  let (ys, last) = scan(cell, x, zeros(({}4)), dim = t)
  output ys
}}
"""


@pytest.mark.parametrize(
    ("cell", "lead", "goes"),
    [
        ("part w = Linear(4, 4) input x(..., 4) input h(..., 4) output h + w(x)", "..., ",
         "self.w"),
        ("part w = Linear(4, 4) input x(..., 4) input h(..., 4) output w(h + x)", "..., ", ""),
        ("part w = Linear(4, 4) batch n input x(n, 4) input h(n, 4) output h + w(x)", "b, ", ""),
        ("part w = Linear(4, 4) batch b input x(..., b, 4) input h(..., b, 4) output h + w(x)",
         "..., b, ", ""),
        ("part w = BatchNorm1d(4) batch n input x(n, 4) input h(n, 4) output h + w(x)", "b, ", ""),
        ("part w = BatchNorm2d(1) input x(..., 4) input h(..., 4) "
         "output h + reshape(w(reshape(x, (..., 1, 2, 2))), (..., 4))", "..., ", ""),
        ("part w = Dropout(0.5) part v = Linear(4, 4) input x(..., 4) input h(..., 4) "
         "output h + v(w(x))", "..., ", "self.v(self.w(x))"),
        ('part w = extern "torch.nn.Tanh"() input x(..., 4) input h(..., 4) output h + w(x)',
         "..., ", ""),
        ("tensor w(4) init ones input x(..., 4) input h(..., 4) output x + exp(w) * h",
         "..., ", "self.w.exp()"),
        ("input x(..., 4) input h(..., 4) "
         "output h + sum(network { x(..., i), x(..., j) -> (..., i, j) } ** 2, -1)", "..., ", "x"),
        ("part w = Linear(4, 400) part v = Linear(400, 4) input x(..., 4) input h(..., 4) "
         "output h + v(w(x))", "..., ", ""),
        ("input x(..., 4) input h(..., 4) output h + reshape(x, (..., 4))", "..., ", ""),
    ],
)  # fmt: skip
def test_what_goes_ahead(cell: str, lead: str, goes: str) -> None:
    statements = cell
    for word in (" input ", " batch ", " output ", " part "):
        statements = statements.replace(word, f"\n {word.strip()} ")
    text = CELL.format(statements, ", b" * ("b" in lead), f"{lead}t", lead)
    found = ahead(source_of(text))
    assert goes in found
    assert bool(found) == bool(goes)


# ── graphs ─────────────────────────────────────────────────────────────────────────────────────


class Graphs:
    """A backend that keeps the graphs it gets."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, graph: torch.fx.GraphModule, _: object) -> object:
        self.sizes.append(sum(len(each.graph.nodes) for each in modules(graph)))
        return graph.forward


def modules(graph: torch.fx.GraphModule) -> list[torch.fx.GraphModule]:
    return [each for each in graph.modules() if isinstance(each, torch.fx.GraphModule)]


TWO_STATES = """
model Cell() {
  tensor a(2, 3) init normal(1.0)
  part w = Linear(2, 2)
  input x(..., 2)
  input h(..., 2, 3)
  input y(..., 3)
  input c(...)
  let h2 = exp(a) * h + reshape(w(x), (..., 2, 1))
  output (network { h2(..., i, j), y(..., j) -> (..., i) }, x, h2, c + sum(y, -1))
}

model M() {
  part cell[k in 0..2] = Cell()
  batch t
  input x(..., t, 2)
  input y(..., t, 3)
  let start = zeros((..., 2, 3))
  let (u, v, h, c) = scan(cell[0], (x, y), (start, zeros((...))), dim = t, reverse = true)
  let (u2, v2, h2, c2) = scan(cell[1], (u, y), (h, c), dim = t)
  output (u2, v, v2, h2, c2)
}
""".replace("input h(..., 2, 3)\n  input y(..., 3)", "input y(..., 3)\n  input h(..., 2, 3)")


@pytest.mark.parametrize("text", [GRU + ONE, TWO_STATES], ids=["gru", "two states"])
def test_without_gradients_a_graph_is_the_same_for_all_lengths(text: str) -> None:
    module = module_of(text)
    torch._dynamo.reset()
    graphs = Graphs()
    compiled = torch.compile(module, backend=graphs, fullgraph=True, dynamic=True)
    widths = [3] if "wx" in text else [2, 3]
    with torch.no_grad():
        for lead, steps in ((7, 5), (6, 9)):
            xs = [torch.randn(lead, steps, width, dtype=torch.float64) for width in widths]
            for one, other in zip(compiled(*xs), module(*xs), strict=True):
                torch.testing.assert_close(one, other)
    assert len(graphs.sizes) == 1


@pytest.mark.parametrize("text", [GRU + ONE, TWO_STATES], ids=["gru", "two states"])
@pytest.mark.filterwarnings("ignore")
def test_an_exported_program_takes_all_lengths(text: str) -> None:
    module = module_of(text)
    widths = [3] if "wx" in text else [2, 3]
    xs = [torch.randn(7, 5, width, dtype=torch.float64) for width in widths]
    shapes = tuple({0: Dim.AUTO, 1: Dim.AUTO} for _ in xs)
    program = torch.export.export(module, tuple(xs), dynamic_shapes=(shapes[0], *shapes[1:]))
    longer = [torch.randn(2, 8, width, dtype=torch.float64) for width in widths]
    for one, other in zip(program.module()(*longer), module(*longer), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("text", [GRU + ONE, TWO_STATES], ids=["gru", "two states"])
def test_compiled_gradients(text: str) -> None:
    module = module_of(text)
    torch._dynamo.reset()
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True, dynamic=True)
    widths = [3] if "wx" in text else [2, 3]
    for steps in (2, 4):
        xs = [
            torch.randn(2, steps, width, dtype=torch.float64).requires_grad_() for width in widths
        ]
        agree(list(compiled(*xs)), list(module(*xs)), [*xs, *module.parameters()])


# ── scans in other things ──────────────────────────────────────────────────────────────────────

NESTED = """
model Inner() {
  part w = Linear(3, 3)
  input x(..., 3)
  input h(..., 3)
  output tanh(w(x) + h)
}

model Cell() {
  part inner = Inner()
  part v = Linear(3, 3)
  input x(..., 2, 3)
  input h(..., 3)
  let (ys, last) = scan(inner, x, h, dim = -2)
  let (zs, first) = scan(inner, x, zeros((..., 3)), dim = -2)
  output (sum(ys + zs, -2), v(last))
}

model M() {
  part cell = Cell()
  batch t
  input x(..., t, 2, 3)
  let (ys, last) = scan(cell, x, zeros((..., 3)), dim = t)
  output (ys, last)
}
"""


def test_a_scan_in_a_cell() -> None:
    module = module_of(NESTED)
    cell = cell_of(NESTED, module)
    x = torch.randn(2, 4, 2, 3, dtype=torch.float64, requires_grad=True)
    start = torch.zeros(2, 3, dtype=torch.float64)
    agree(list(module(x)), looped(cell, [x], [start], 1), [x])


REPEATED = """
model Cell() {
  part w = Linear(3, 3)
  input x(..., 3)
  input h(..., 3)
  output tanh(w(x) + h)
}

model Layer() {
  part cell = Cell()
  batch t
  input x(..., t, 3)
  let (ys, last) = scan(cell, x, zeros((..., 3)), dim = t)
  output ys
}

model M() {
  part layer[k in 0..3] = Layer()
  batch t
  input x(..., t, 3)
  output x |> repeat k in 0..3 { layer[k] }
}

model N() {
  part cell[k in 0..3] = Cell()
  batch t
  input x(..., t, 3)
  let h[k in 0..4] = if k == 0 then x else scan(cell[k - 1], h[k - 1], zeros((..., 3)), dim = t)[0]
  output h[3]
}
"""


@pytest.mark.parametrize("block", ["M", "N"])
def test_scans_one_after_the_other(block: str) -> None:
    module = module_of(REPEATED, block)
    x = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    start = torch.zeros(2, 3, dtype=torch.float64)
    y = x
    for k in range(3):
        cell = module_of(REPEATED, "Cell")
        inner = module.get_submodule(f"layer.{k}.cell" if block == "M" else f"cell.{k}")
        cell.load_state_dict(inner.state_dict())
        (y, _) = looped(cell, [y], [start], 1)
    agree([module(x)], [y], [x])


DROPPED = """
model Cell() {
  part drop = Dropout(0.5)
  part w = Linear(3, 3)
  input x(..., 3)
  input h(..., 3)
  output (drop(x), w(h))
}

model M() {
  part cell = Cell()
  batch t
  input x(..., t, 3)
  let (ys, last) = scan(cell, x, zeros((..., 3)), dim = t)
  output ys
}
"""


def test_every_step_drops_entries_of_its_own() -> None:
    module = module_of(DROPPED)
    y = module(torch.ones(1, 400, 3, dtype=torch.float64))
    assert set(y.unique().tolist()) == {0.0, 2.0}
    assert not torch.equal(y[:, :200], y[:, 200:])
    assert torch.equal(module.eval()(y), y)


@pytest.mark.parametrize("text", [GRU + ONE, TWO_STATES, NESTED, REPEATED.replace("N()", "M2()")])
def test_files_are_as_if_written_by_hand(text: str, tmp_path: Path) -> None:
    blocks = ["M"] if "M2" not in text else ["M", "M2"]
    for block in blocks:
        (tmp_path / f"{block}.py").write_text(source_of(text, block), encoding="utf-8")
    write_rules(tmp_path)
    assert not ruff(tmp_path, "check")
    assert not ruff(tmp_path, "format", "--check")


def test_networks_are_planned_for_all_steps_or_for_one() -> None:
    text = """import "std/linear.tn" { MPO }
model Cell() {
  part wx = MPO(ins = [2, 4], outs = [4, 4])
  part wh = MPO(ins = [4, 4], outs = [4, 4])
  input x(..., 8)
  input h(..., 16)
  output tanh(wx(x) + wh(h))
}
model M() {
  part cell = Cell()
  batch t = 10
  input x(..., t, 8)
  let (ys, last) = scan(cell, x, zeros((..., 16)), dim = t)
  output last
}
"""
    compiled = tncompile.loads(text).instantiate("M")
    assert isinstance(compiled, Model)
    reaches = reached(compiled._resolved, 3, usual_sizes(compiled._resolved, {}))
    calls = [each.calls for each in sorted(reaches, key=lambda each: each.batches)]
    assert [{rows: times for (rows, _), times in each.items()} for each in calls] == [
        {3: 10},
        {30: 1},
    ]
