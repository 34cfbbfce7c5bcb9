"""Contraction trees of networks with windows: legal, and the best one among them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tncompile
from tests.support import windows as small
from tests.support.oracle import contract
from tests.support.small_networks import make_network
from tests.support.window_paths import Pairs, counted, every_path, lengths_of, window
from tncompile.lowering import lower
from tncompile.network.contraction import build_tree, operands, verify_tree
from tncompile.network.model import DOTS, TensorNetwork
from tncompile.network.windows import Window
from tncompile.planning import ContractionPlan, plan
from tncompile.planning.paths.candidates import Candidate, candidates
from tncompile.planning.paths.lookup_tables import TableSearch
from tncompile.planning.paths.optimizers import EFFORTS
from tncompile.planning.paths.problem import NoOrderError, contraction_problem
from tncompile.planning.verifying import verify_plan
from tncompile.program.interpreter import run_program


def found(
    network: TensorNetwork, sizes: Mapping[str, int], batch: int = 4, effort: str = "fast"
) -> tuple[Candidate, ...]:
    """The candidates for a network."""
    terms = operands(network)
    problem = contraction_problem(network, terms, lengths_of(network, sizes, batch))
    return candidates(network, terms, problem, EFFORTS[effort])


@st.composite
def networks(draw: st.DrawFn) -> TensorNetwork:
    """One or two inputs, one to four tensors, one to four windows whose kernels may be shared."""
    names = [f"i{k}" for k in range(draw(st.integers(1, 5)))]
    sizes: dict[str, int | None] = {DOTS: None}
    sizes |= {name: draw(st.integers(1, 5)) for name in names}
    windows = [
        window(
            name,
            draw(st.integers(1, 4)),
            draw(st.integers(1, 3)),
            transposed=draw(st.sampled_from([False, False, True])),
        )
        for name in "hwdt"[: draw(st.sampled_from([1, 1, 2, 2, 2, 3, 4]))]
    ]
    some = st.lists(st.sampled_from(names), max_size=3, unique=True)
    inputs = {name: [DOTS, *draw(some)] for name in ("x", "z")[: draw(st.sampled_from([1, 1, 2]))]}
    legs = {f"T{k}": draw(some) for k in range(draw(st.integers(1, 5 - len(inputs))))}
    for each in windows:
        inputs[draw(st.sampled_from(sorted(inputs)))].append(each.input_leg)
        carriers = st.lists(st.sampled_from(sorted(legs)), min_size=1, max_size=2, unique=True)
        for name in draw(carriers):
            legs[name].append(each.kernel_leg)
    carried = {leg for own in (*inputs.values(), *legs.values()) for leg in own}
    output = [name for name in names if name in carried and draw(st.booleans())]
    return make_network(
        {name: size for name, size in sizes.items() if name in carried},
        inputs,
        legs,
        [DOTS, *output, *(each.output_leg for each in windows)],
        windows=windows,
    )


@settings(max_examples=80, deadline=None)
@given(networks(), st.sampled_from(["fast", "normal"]))
def test_the_best_of_all_trees_is_found(network: TensorNetwork, effort: str) -> None:
    given_sizes = {each.name: 7 + k for k, each in enumerate(network.windows)}
    terms = operands(network)
    lengths = lengths_of(network, given_sizes)
    prices: dict[Pairs, int] = {}
    for pairs in every_path(tuple(range(len(terms))), len(terms)):
        price = counted(network, pairs, lengths)
        if price is not None:
            prices[pairs] = price
            continue
        with pytest.raises(ValueError, match=r"window|image|merged|transposed"):
            build_tree(network, terms, pairs)
    if not prices:
        with pytest.raises(NoOrderError, match="no order of contraction"):
            found(network, given_sizes, effort=effort)
        return
    held = found(network, given_sizes, effort=effort)
    assert min(candidate.multiply_adds for candidate in held) == min(prices.values())
    for candidate in held:
        assert list(verify_tree(network, candidate.tree)) == [], candidate.names
        pairs = tuple((step.left, step.right) for step in candidate.tree.steps)
        assert candidate.multiply_adds == counted(network, pairs, lengths)


# ── what networks with windows are used for ─────────────────────────────────────────────────────


def cp_of(axes: int, stride: int = 1, *, channels: int = 3, rank: int = 2) -> TensorNetwork:
    """One factor an axis."""
    windows = [
        Window(name=f"h[{k}]", family="h", subscripts=(k,), size=2, stride=stride, right=1)
        for k in range(axes)
    ]
    return small.cp(windows, (channels, rank, channels)).network


def train_of(modes: int, rank: int) -> TensorNetwork:
    """A tensor train whose first core is the kernel, and the others the channels as in an MPO."""
    windows = [window("h"), window("w", stride=2)]
    ins, outs = [f"i{k}" for k in range(modes)], [f"o{k}" for k in range(modes)]
    sizes: dict[str, int | None] = {DOTS: None, **dict.fromkeys([*ins, *outs], 2)}
    sizes |= {f"b{k}": rank for k in range(modes)}
    tensors = {"K": ["h.kernel", "w.kernel", "b0"]}
    for k in range(modes):
        tensors[f"G{k}"] = [f"b{k}", ins[k], outs[k], *([f"b{k + 1}"] if k < modes - 1 else [])]
    legs = [DOTS, *ins, "h.in", "w.in"]
    return make_network(
        sizes, {"x": legs}, tensors, [DOTS, *outs, "h.out", "w.out"], windows=windows
    )


def ring() -> TensorNetwork:
    """A ring of the channels and the kernel."""
    windows = [window("h"), window("w")]
    sizes: dict[str, int | None] = {DOTS: None, "i": 3, "j": 2, "o": 4, **dict.fromkeys("abcd", 2)}
    tensors = {
        "U": ["a", "i", "b"],
        "W": ["b", "j", "c"],
        "K": ["c", "h.kernel", "w.kernel", "d"],
        "V": ["d", "o", "a"],
    }
    legs = [DOTS, "i", "j", "h.in", "w.in"]
    return make_network(sizes, {"x": legs}, tensors, [DOTS, "o", "h.out", "w.out"], windows=windows)


def shared() -> TensorNetwork:
    """Three tensors with one kernel leg, two of them with another one, too."""
    windows = [window("h", 3, 2), window("w", 2)]
    tensors = {
        "A": ["i", "r", "h.kernel"],
        "B": ["r", "s", "w.kernel", "h.kernel"],
        "C": ["s", "h.kernel", "t"],
        "D": ["t", "w.kernel", "o"],
    }
    sizes = {DOTS: None, "i": 3, "o": 4, "r": 2, "s": 3, "t": 2}
    legs = [DOTS, "i", "h.in", "w.in"]
    return make_network(sizes, {"x": legs}, tensors, [DOTS, "o", "h.out", "w.out"], windows=windows)


TRANSPOSED = [window("h", 3, 2, transposed=True), window("w", 2, transposed=True)]

NETWORKS = {
    "Tucker-2": small.tucker2([window("h", 3, 2), window("w")]).network,
    "Tucker-2, transposed": small.tucker2(TRANSPOSED).network,
    "Tucker-2, 3-D": small.tucker2([window(name, 2) for name in "hwd"]).network,
    "CP, 1-D": cp_of(1),
    "CP, 3-D": cp_of(3, 2),
    "CP, 5-D": cp_of(5),  # a family of kernels that levels see
    "CP, transposed": small.cp(TRANSPOSED).network,
    "depthwise": small.depthwise([window("h"), window("w", 2, 2)]).network,
    "grouped": small.grouped([window("h"), window("w", 2, 2)]).network,
    "dense": small.dense([window("h", 1), window("w", 1, 2)]).network,
    "train along the axes": small.train([window("h", 3, 2), window("w")]).network,
    "train": train_of(3, 2),
    "long train": train_of(8, 2),
    "ring": ring(),
    "shared kernels": shared(),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_candidate_means_the_same(name: str) -> None:
    network = NETWORKS[name]
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    lengths = {each.size_name: 4 + k % 2 for k, each in enumerate(network.windows)}
    sizes = lengths_of(network, lengths, 2)
    parameters = {p.key: drawn(*p.shape) for p in network.parameters}
    (source,) = network.inputs
    legs = [leg for axis in source.axes for leg in axis.indices]
    x = drawn(*(network.index[leg].size or sizes[leg] for leg in legs))
    due = small.meaning(network, parameters, x)
    held = found(network, lengths, 2, "normal")
    for candidate in held:
        assert list(verify_tree(network, candidate.tree)) == [], candidate.names
        pairs = tuple((step.left, step.right) for step in candidate.tree.steps)
        assert candidate.multiply_adds == counted(network, pairs, sizes), candidate.names
        made = run_program(network, lower(network, candidate.tree), parameters, {"x": x})
        assert isinstance(made, torch.Tensor)
        assert torch.allclose(made, due, rtol=1e-10, atol=1e-10), candidate.names


def named(network: TensorNetwork, length: int, batch: int = 16) -> dict[str, int]:
    """The multiply-adds of the candidates by their names."""
    held = found(network, {each.name: length for each in network.windows}, batch, "normal")
    return {name: each.multiply_adds for each in held for name in each.names}


def test_the_trees_that_the_literature_knows_are_candidates() -> None:
    tucker = named(small.tucker2([window("h"), window("w")], (64, 16, 16, 64)).network, 56)
    assert min(tucker, key=tucker.__getitem__) == "U, convolution with K along h and w, V"
    assert {
        "convolution with U K along h and w, V",
        "U, convolution with K V along h and w",
        "materialize dense",
    } <= tucker.keys()
    cp = named(small.cp([window("h"), window("w")], (64, 16, 64)).network, 56)
    apart = "A, convolution with K0 along h, convolution with K1 along w, D"
    assert cp[apart] == min(cp.values())
    assert {
        "A, convolution with K1 along w, convolution with K0 along h, D",
        "A, convolution with K0 K1 along h and w, D",
        "materialize dense",
    } <= cp.keys()


@pytest.mark.parametrize(
    ("stride", "best"),
    [
        (1, "R, convolution with K along h"),  # fewer channels are convolved
        (4, "convolution with K along h, R"),  # fewer positions are reduced
    ],
)
def test_strides_decide_what_goes_first(stride: int, best: str) -> None:
    network = make_network(
        {DOTS: None, "i": 8, "p": 8, "j": 8, "q": 6},
        {"x": [DOTS, "i", "j", "h.in"]},
        {"K": ["i", "p", "h.kernel"], "R": ["j", "q"]},
        [DOTS, "p", "q", "h.out"],
        windows=[window("h", 3, stride)],
    )
    prices = named(network, 64)
    assert min(prices, key=prices.__getitem__) == best


def test_kernels_are_merged_where_strides_skip_most_positions() -> None:
    """Of 3 × 3 positions one is left: convolving along one axis first computes what is dropped."""
    network = small.cp([window("h", 2, 3), window("w", 2, 3)], (64, 16, 64)).network
    prices = named(network, 57)
    assert min(prices, key=prices.__getitem__) == "convolution with A K0 K1 along h and w, D"


def test_two_images() -> None:
    """A tensor is convolved with one input, the result is the kernel of the other one."""
    windows = [window("h"), window("w", 2, 2)]
    network = make_network(
        {DOTS: None, "i": 3, "j": 2, "o": 4},
        {"x": [DOTS, "i", "h.in"], "z": [DOTS, "j", "w.in"]},
        {"K": ["i", "j", "h.kernel", "w.kernel", "o"]},
        [DOTS, "o", "h.out", "w.out"],
        windows=windows,
    )
    x = torch.randn(2, 3, 5, dtype=torch.float64)
    z = torch.randn(2, 2, 6, dtype=torch.float64)
    kernel = torch.randn(3, 2, 3, 2, 4, dtype=torch.float64)
    factors: list[tuple[torch.Tensor, Sequence[str]]] = [
        (x, [DOTS, "i", "h.in"]),
        (z, [DOTS, "j", "w.in"]),
        (kernel, ["i", "j", "h.kernel", "w.kernel", "o"]),
    ]
    for each, length in zip(windows, (5, 6), strict=True):
        legs = [each.input_leg, each.kernel_leg, each.output_leg]
        factors.append((small.window_tensor(each, length), legs))
    due = contract(factors, [DOTS, "o", "h.out", "w.out"])
    held = found(network, {"h": 5, "w": 6}, 2, "normal")
    assert len(held) == 3
    for candidate in held:
        program = lower(network, candidate.tree)
        made = run_program(network, program, {"K": kernel}, {"x": x, "z": z})
        assert isinstance(made, torch.Tensor)
        assert torch.allclose(made, due, rtol=1e-10, atol=1e-10), candidate.names


def test_larger_networks_get_good_trees() -> None:
    """Fifteen factors on one hyperedge: path finders alone end at 1.6 times as many."""
    windows = [window("h", 3, 2), window("w", 3, 2)]
    names = [f"{side}{k}" for side in "io" for k in range(6)]
    tensors = {f"F{name}": [name, "r"] for name in names}
    tensors |= {"B": ["h.kernel", "r"], "C": ["w.kernel", "r"]}
    sizes: dict[str, int | None] = {DOTS: None, "r": 16, **dict.fromkeys(names, 2)}
    legs = [DOTS, *names[:6], "h.in", "w.in"]
    output = [DOTS, *names[6:], "h.out", "w.out"]
    network = make_network(sizes, {"x": legs}, tensors, output, windows=windows)
    held = found(network, {"h": 32, "w": 32}, 16)
    assert all(not list(verify_tree(network, candidate.tree)) for candidate in held)
    assert min(candidate.multiply_adds for candidate in held) <= 2.2e7


# ── beside what else trees know ─────────────────────────────────────────────────────────────────

IDS = """
network ByClass(classes: int = 5) {
  window h = conv(size = 3, padding = 1)
  index  v = classes, i = 3, o = 4
  bond   a = 2, b = 3
  batch  n
  input  x(n, i, h.in)
  input  ids(n, onehot(v))
  tensor E(v, a)
  tensor K(a, i, b, h.kernel)
  tensor V(b, o)
  output y(n, o, h.out)
}
"""


def test_kernels_that_ids_select() -> None:
    network = tncompile.loads(IDS).instantiate().network
    terms = operands(network)
    sizes = lengths_of(network, {"h": 6}, 64)
    merged = list(TableSearch(network, terms, sizes).candidates(EFFORTS["normal"]))
    assert any("E K merged" in name for candidate in merged for name in candidate.names)
    torch.manual_seed(0)
    parameters = {p.key: torch.randn(p.shape, dtype=torch.float64) for p in network.parameters}
    x, ids = torch.randn(7, 3, 6, dtype=torch.float64), torch.arange(7) % 5
    rows = parameters["E"][ids]
    kernel = torch.einsum("na,aibk,bo->noik", rows, parameters["K"], parameters["V"])
    each = [torch.conv1d(x[n : n + 1], kernel[n], padding=1) for n in range(7)]
    due = torch.cat(each)
    for candidate in (*found(network, {"h": 6}, 64, "normal"), *merged):
        assert list(verify_tree(network, candidate.tree)) == [], candidate.names
        program = lower(network, candidate.tree)
        made = run_program(network, program, parameters, {"x": x, "ids": ids})
        assert isinstance(made, torch.Tensor)
        assert torch.allclose(made, due, rtol=1e-10, atol=1e-10), candidate.names


# ── stored trees that lie ───────────────────────────────────────────────────────────────────────


def test_a_plan_is_stored_and_read_again() -> None:
    network = NETWORKS["CP, 3-D"]
    planned = plan(network, batch=4, sizes={"h.0": 8}, search="fast")
    again = ContractionPlan.from_dict(json.loads(json.dumps(planned.to_dict())))
    assert again == planned
    assert list(verify_plan(network, again)) == []


def test_trees_that_do_not_convolve_are_noticed() -> None:
    network = NETWORKS["shared kernels"]
    tree = found(network, {"h": 5, "w": 5})[0].tree
    place = next(k for k, step in enumerate(tree.steps) if step.windows)
    step = tree.steps[place]

    def damaged(**changes: object) -> str:
        steps = list(tree.steps)
        steps[place] = replace(step, **changes)  # type: ignore[arg-type]
        (problem,) = verify_tree(network, replace(tree, steps=tuple(steps)))
        return problem

    assert list(verify_tree(network, tree)) == []
    assert "convolves ()" in damaged(windows=())
    assert "convolves ('h', 'h')" in damaged(windows=("h", "h"))
    assert "convolves ('w', 'h')" in damaged(windows=("w", "h"))
    assert "convolves ('nowhere',)" in damaged(windows=("nowhere",))
    assert "keeps" in damaged(legs=(*step.legs[:-1], "h.kernel"))
    # The image meets a carrier before the others have been merged.
    terms = operands(network)
    early = ((0, 1), (2, 3), (4, 5), (6, 7))
    with pytest.raises(ValueError, match="not merged yet"):
        build_tree(network, terms, early)
    steps = [
        replace(step, left=left, right=right, result=len(terms) + k)
        for k, (step, (left, right)) in enumerate(zip(tree.steps, early, strict=True))
    ]
    (problem,) = verify_tree(network, replace(tree, steps=tuple(steps)))
    assert "not merged yet" in problem
