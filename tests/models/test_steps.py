"""`step` of causal models: in pieces of any length it gives what `forward` gives for the whole."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

import tncompile
from tests.acceptance.models.cases import CASES
from tests.models.test_acceptance import tried
from tests.models.test_causal_models import declared
from tests.support.causal_blocks import BLOCKS, CAUSAL
from tests.support.stepped import PIECES, going
from tests.support.stepping import LENGTH, Going, State, close, flat
from tests.support.stepping_programs import PROGRAMS


@pytest.mark.parametrize("pieces", PIECES, ids=str)
@pytest.mark.parametrize("name", PROGRAMS)
def test_pieces_give_what_the_whole_gives(name: str, pieces: tuple[int, ...]) -> None:
    one = going(name)
    inputs = one.inputs()
    results, _ = one.fed(inputs, pieces)
    close(results, one.whole(inputs))


@pytest.mark.parametrize(
    "name", [name for name, text in PROGRAMS.items() if "(...," in text.split("model M()")[1]]
)
def test_rows_of_the_state_are_rows_of_the_result(name: str) -> None:
    one = going(name)
    inputs = one.inputs()
    _, state = one.fed(inputs, (3,))
    order = torch.tensor([1, 0, 1])
    moved = one.rows(inputs, order)
    begin = [x if (k := one.axis(source.shape)) is None else x.narrow(k, 3, LENGTH - 3)
             for source, x in zip(one.model.inputs, moved, strict=True)]  # fmt: skip
    results, _ = one.fed(begin, (1, LENGTH - 4), tuple(x[order] for x in state))
    close(results, one.last(one.whole(moved), 3))


@pytest.mark.parametrize("name", PROGRAMS)
def test_two_continuations_of_one_state(name: str) -> None:
    """Also after results and inputs were overwritten: the state is no part of them."""
    one = going(name)
    inputs, others = one.inputs(), one.inputs(seed=2)
    results, state = one.fed(first := [x.clone() for x in inputs], (3,))
    for x in (*results, *first):
        if not any(stride == 0 for stride in x.stride()):
            x.zero_()
    for rest in (others, inputs):
        mixed = [
            x if (k := one.axis(source.shape)) is None
            else torch.cat([x.narrow(k, 0, 3), y.narrow(k, 3, LENGTH - 3)], k)
            for source, x, y in zip(one.model.inputs, inputs, rest, strict=True)
        ]  # fmt: skip
        later = [
            x if (k := one.axis(source.shape)) is None else x.narrow(k, 3, LENGTH - 3)
            for source, x in zip(one.model.inputs, mixed, strict=True)
        ]
        found, _ = one.fed(later, (LENGTH - 3,), state)
        close(found, one.last(one.whole(mixed), 3))


@pytest.mark.parametrize("output", [each for each in CAUSAL if "other(" not in each])
def test_all_that_is_causal(output: str) -> None:
    one = Going.of(f"{BLOCKS}model M() {{{declared(output)}\n  output {output}\n}}\n")
    inputs = one.inputs()
    whole = one.whole(inputs)
    for pieces in PIECES[:2]:
        close(one.fed(inputs, pieces)[0], whole)


LAYERS = [
    "attention(h, h * 0.5, h, causal = true)",
    "attention(h, h, sin(h), causal = true, reach = 3)",
    "attention(h, h, sin(h), causal = true, reach = 4, relative = sin(arange(3) + 1))",
    "cumsum(h, dim = t) * 0.3",
    "scan(cell, h, zeros((..., 4)), dim = t)[0]",
    "scan(cell, h, z, dim = t)[0]",
    "transpose(short(transpose(h, -2, -1)), -2, -1)",
    "transpose(long(transpose(h, -2, -1)), -2, -1)",
    "h + reshape(arange(t), (t, 1)) * 0.1",
    "h * place[0..t, *]",
    "reshape(transpose(pairs(transpose(reshape(h, (..., t, 2, 2)), -3, -2)), -3, -2), (..., t, 4))",
    "block(h)",
    "h |> repeat l in 0..3 { blocks[l] }",
    "w + block(w)",
    "cumsum(w, dim = t)",
    "attention(h, sin(m), m)",
    "cross(h, m)",
    "cross(h, cos(m) * 0.5) |> cross(m)",
]


STACK = """
network Window(dilation: int) {
  window s = conv(size = 3, dilation = dilation, padding = "causal")
  index i = 4, o = 4
  input x(..., i, s.in)
  tensor K(i, o, s.kernel)
  output y(..., o, s.out) }
model Pairs() { batch t causal
  input x(..., t, 2)
  output attention(x, x, x, causal = true) }
model Block() { part norm = LayerNorm(4)
  part drop = Dropout(0.5)
  batch u causal
  input x(..., u, 4)
  output x + drop(attention(norm(x), x, x, causal = true)) * reshape(arange(u), (u, 1)) * 0.1 }
model Cell() { input x(..., 4)
  input h(..., 4)
  output tanh(x + h) }
model Cross() { part k = Linear(4, 4)
  part v = Linear(4, 4)
  batch t causal, s
  input x(..., t, 4)
  input m(..., s, 4)
  output x + attention(x, k(m), v(m)) }
model M() {
  part cell = Cell()
  part cross = Cross()
  part short = Window(1)
  part long = Window(2)
  part pairs = Pairs()
  part block = Block()
  part blocks[l in 0..3] = Block()
  tensor place(9, 4) init normal(1.0)
  batch t causal, s
  require t <= 9
  input x(..., t, 4)
  input w(t, 4)
  input z(..., 4)
  input m(..., s, 4)
"""


@pytest.mark.parametrize("seed", range(16))
def test_random_stacks(seed: int) -> None:
    drawn = random.Random(seed)
    depth = drawn.randint(1, 4)
    lines = ["  let h0 = x"]
    for k in range(depth):
        left, right = (re.sub(r"\bh\b", f"h{k}", drawn.choice(LAYERS)) for _ in range(2))
        lines.append(f"  let h{k + 1} = h{k} + tanh({left}) * (1 + 0.1 * ({right}))")
    text = "\n".join([*lines, f"  output (h{depth}, h{drawn.randint(0, depth)})"])
    one = Going.of(f"{STACK}{text}\n}}")
    inputs = one.inputs()
    whole = one.whole(inputs)
    cuts = sorted(drawn.sample(range(1, LENGTH), drawn.randint(1, 4)))
    pieces = [b - a for a, b in zip([0, *cuts], [*cuts, LENGTH], strict=True)]
    close(one.fed(inputs, pieces)[0], whole)


# ── acceptance models ─────────────────────────────────────────────────────────────────────────────

GENERATING = [case.name for case in CASES if case.step]


def pieces_of(
    name: str, inputs: tuple[Tensor, ...], lengths: list[int]
) -> list[tuple[Tensor, ...]]:
    """Inputs cut along their causal axis; those that are held stay whole."""
    case = tried(name).case
    assert case.step is not None
    cut = [
        [x] * len(lengths) if k in case.held else list(x.split(lengths, case.step[0]))
        for k, x in enumerate(inputs)
    ]
    return list(zip(*cut, strict=True))


def length(name: str) -> int:
    one = tried(name)
    assert one.case.step is not None
    (first, *_) = [x for k, x in enumerate(one.inputs) if k not in one.case.held]
    return first.shape[one.case.step[0]]


@pytest.mark.parametrize("name", GENERATING)
def test_acceptance_models(name: str) -> None:
    one = tried(name)
    assert one.case.step is not None
    state, found = None, []
    for piece in pieces_of(name, one.inputs, [2, 1, length(name) - 3]):
        result, state = one.module.step(*piece, state=state)
        found.append(flat(result)[0])
    close([torch.cat(found, one.case.step[1])], one.results[:1])


@pytest.mark.parametrize("name", [case.name for case in CASES if case.step and case.reordered])
def test_acceptance_models_with_rows_in_another_order(name: str) -> None:
    one = tried(name)
    assert one.case.step is not None
    rest = length(name) - 3
    begin, end = pieces_of(name, one.inputs, [3, rest])
    _, state = one.module.step(*begin)
    order = torch.tensor([1, 0])
    result, _ = one.module.step(*(x[order] for x in end), state=tuple(x[order] for x in state))
    whole = flat(one.module(*(x[order] for x in one.inputs)))[0]
    axis = one.case.step[1]
    close([flat(result)[0]], [whole.narrow(axis, whole.shape[axis] - rest, rest)])


# ── parts ─────────────────────────────────────────────────────────────────────────────────────────


def test_parts_have_steps_of_their_own() -> None:
    one = going("an encoder and decoders")
    m, x = one.inputs()
    for part, given in ((one.module.dec[0], (x, m)), (one.module.dec[0].looks, (x,))):
        whole, found, state = part(*given), [], None
        for piece in x.split((3, 1, LENGTH - 4), dim=1):
            y, state = part.step(piece, *given[1:], state=state)
            found.append(y)
        close([torch.cat(found, 1)], [whole])
        with pytest.raises(ValueError, match=r"x\(\.\.\., t, 4\): got shape"):
            part.step(x[..., :3], *given[1:])
    assert not hasattr(one.module.enc, "step")


# ── arguments ─────────────────────────────────────────────────────────────────────────────────────


def test_arguments_are_checked_as_those_of_forward() -> None:
    one = going("running sums")
    with pytest.raises(ValueError, match=r"x\(\.\.\., t, 3\): got shape \(2, 5, 4\)"):
        one.module.step(torch.zeros(2, 5, 4, dtype=torch.float64))
    with pytest.raises(TypeError, match="expected float"):
        one.module.step(torch.zeros(2, 5, 3).long())


def test_a_sliding_window_keeps_no_more_than_it_reaches() -> None:
    one = going("reach")
    sizes = {len_: one.fed(one.inputs(), (len_,))[1] for len_ in (4, LENGTH)}
    assert [x.shape for x in sizes[4]] == [x.shape for x in sizes[LENGTH]]


def test_models_without_a_causal_size_have_no_step() -> None:
    text = "model M() { batch t\n input x(..., t, 4)\n output relu(x) }"
    assert not hasattr(tncompile.loads(text).instantiate("M").module(search="fast"), "step")


@pytest.mark.parametrize(
    "name",
    [
        "nested",
        "places",
        "reach",
        "windows",
        "scan",
        "windows of values without `...`",
        "an encoder and decoders",
    ],
)
def test_compiled_steps(name: str) -> None:
    """The entries before are counted by a shape, so that no step waits for the device."""
    one = going(name)
    inputs = one.inputs()
    torch._dynamo.reset()
    step = torch.compile(one.module.step, backend="eager", fullgraph=True, dynamic=True)
    with torch.no_grad():
        results, _ = one.fed(inputs, (3, 1, 1, LENGTH - 5), step=step)
        close(results, one.whole(inputs))


@pytest.mark.parametrize("name", ["nested", "reach", "an encoder and decoders"])
def test_no_token_is_compiled_anew(name: str) -> None:
    """One graph for the first entries, one for the next, and one for states of any length."""
    one = going(name)
    graphs: list[torch.fx.GraphModule] = []

    def counted(graph: torch.fx.GraphModule, inputs: object) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    step = torch.compile(one.module.step, backend=counted, fullgraph=True)
    with torch.no_grad():
        results, _ = one.fed(one.inputs(), (LENGTH - 6, *[1] * 6), step=step)
    close(results, one.whole(one.inputs()))
    assert len(graphs) <= 3


@torch.no_grad()
def test_steps_are_exported_for_states_of_any_length() -> None:
    one = going("an encoder and decoders")
    m, x = one.inputs()
    _, state = one.module.step(m, x[:, :3])
    longer = one.module.step(m, x[:, :4])[1]
    grown = tuple(
        {k: Dim.AUTO for k, sizes in enumerate(zip(*shapes, strict=True)) if len({*sizes}) > 1}
        for shapes in zip(*([x.shape for x in each] for each in (state, longer)), strict=True)
    )
    made = torch.export.export(
        Next(one.module), (m, x[:, 3:4], state), dynamic_shapes=(None, None, grown)
    )
    found = []
    for entry in x[:, 3:].split(1, dim=1):
        y, state = made.module()(m, entry, state)
        found.append(y)
    close([torch.cat(found, 1)], [one.whole((m, x))[0][:, 3:]])


class Next(nn.Module):
    """A step as a module."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, m: Tensor, x: Tensor, state: State) -> tuple[Tensor, State]:
        result: tuple[Tensor, State] = self.module.step(m, x, state)
        return result


def test_the_text_of_a_step() -> None:
    """A cache as it is written by hand."""
    source = tncompile.loads(PROGRAMS["nested"]).instantiate("M").source(search="fast")
    assert "keys = past.joined(" in source
    assert re.search(r"for looks in self\.a:\n +x = looks\._step\(x, past\)", source)
