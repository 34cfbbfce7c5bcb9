"""`scan` against a loop of the cell: values, gradients, what goes ahead of it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import tncompile
from tests.support.emitted import ruff, write_rules
from tests.support.scans import GRU, ONE, TWO_STATES, agree, cell_of, looped, module_of, source_of
from tncompile.model import Model
from tncompile.models.reach import reached
from tncompile.models.sizes import usual_sizes

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


def test_layers_that_give_tuples_are_cells() -> None:
    text = """model M() {
  part cell = LSTM(4, 3, batch_first = true)
  batch b, s, t
  input x(b, s, t, 4)
  let start = zeros((1, b, 3))
  let (y, h, c) = scan(cell, x, (start, start), dim = s)
  output (y, h, c)
}
"""
    module = tncompile.loads(text).instantiate().module(seed=0)
    x = torch.randn(2, 3, 5, 4)
    state = (torch.zeros(1, 2, 3), torch.zeros(1, 2, 3))
    rows = []
    for step in x.unbind(1):
        row, state = module.cell(step, state)
        rows.append(row)
    for given, due in zip(module(x), (torch.stack(rows, 1), *state), strict=True):
        torch.testing.assert_close(given, due)


def test_what_comes_back_from_python_is_compared_at_every_step() -> None:
    text = """model M() {
  part cell = extern function "torch.outer"() ((4), (4)) -> (4)
  batch t
  input x(t, 4)
  let (y, h) = scan(cell, x, ones((4)), dim = t)
  output y
}
"""
    module = tncompile.loads(text).instantiate().module()
    with pytest.raises(ValueError, match=r"cell: expected float of shape \(4,\)"):
        module(torch.randn(3, 4))
