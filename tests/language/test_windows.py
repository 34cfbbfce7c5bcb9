"""Windows, complex tensors, usual sizes and `constant(c)` from text to a tensor network."""

from __future__ import annotations

from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tncompile
from tests.support.mutating import mutated_programs
from tests.support.window_programs import network_of, random_program
from tncompile.network.model import TensorNetwork
from tncompile.network.printer import describe_network
from tncompile.network.verifying import verify_network
from tncompile.network.windows import Window
from tncompile.planning.request import plan_request


def network(
    window: str,
    *,
    entering: str = "h.in",
    kernel: str = "h.kernel",
    leaving: str = "h.out",
    batch: str = "t",
    attributes: str = "",
    other: str = "",
    **arguments: Any,
) -> TensorNetwork:
    """A network with these windows, on one input, one tensor (or an `other`) and the output."""
    names = ", ".join(part.split(" =")[0].strip() for part in batch.split(", "))
    text = f"""network N(size: int = 3, wrap: bool = true, axes: int[n] = [3, 5]) {{
      window {window}
      batch {batch}
      index i = size, o = axes[0] + n + (if wrap then 1 else 0)
      input x({names}, i, {entering})
      tensor K(i, o, {kernel}) {attributes}
      {other}
      output y({names}, o, {leaving})
    }}"""
    return tncompile.loads(text).instantiate("N", **arguments).network


@pytest.mark.parametrize(
    ("written", "due"),
    [
        ("3", Window(name="h", family="h", size=3)),
        ("size = 3, stride = 2", Window(name="h", family="h", size=3, stride=2)),
        ("3, 2, 1, 4", Window(name="h", family="h", size=3, stride=2, left=1, right=1, dilation=4)),
        ("3, padding = [2, 0]", Window(name="h", family="h", size=3, left=2)),
        ('3, padding = "valid"', Window(name="h", family="h", size=3)),
        ('4, padding = "same"', Window(name="h", family="h", size=4, left=1, right=2)),
        (
            '4, padding = "same", dilation = 3',
            Window(name="h", family="h", size=4, left=4, right=5, dilation=3),
        ),
        (
            'size = 3, padding = "causal", dilation = 2',
            Window(name="h", family="h", size=3, left=4, dilation=2),
        ),
        ('1, padding = "same"', Window(name="h", family="h", size=1)),
        (
            '3, 1, 1, mode = "reflect"',
            Window(name="h", family="h", size=3, left=1, right=1, mode="reflect"),
        ),
        (
            'size + 1, padding = if wrap then "same" else 7, '
            'mode = if wrap then "circular" else "zeros"',
            Window(name="h", family="h", size=4, left=1, right=2, mode="circular"),
        ),
    ],
)
def test_the_numbers_of_a_window(written: str, due: Window) -> None:
    (made,) = network(f"h = conv({written})").windows
    assert made == due.model_copy(update={"line": made.line})


def test_words_are_chosen_by_conditions() -> None:
    text = 'h = conv(size, padding = if wrap then "same" else 7, mode = if wrap then "circular" '
    text += 'else if size > 4 then "reflect" else "zeros")'
    (made,) = network(text, wrap=False, size=5).windows
    assert (made.left, made.right, made.mode) == (7, 7, "reflect")
    assert network(text, wrap=False).windows[0].mode == "zeros"


def test_families_of_windows() -> None:
    made = network(
        'h[a in 0..n] = conv(axes[a], stride = 1 + a, padding = if a == 0 then "same" else a)',
        entering="h[*].in",
        kernel="h[1].kernel, h[0].kernel",
        leaving="h[*].out",
    )
    assert [window.name for window in made.windows] == ["h[0]", "h[1]"]
    assert [(w.size, w.stride, w.left, w.right) for w in made.windows] == [
        (3, 1, 1, 1),
        (5, 2, 1, 1),
    ]
    assert made.parameters[0].shape == (3, 6, 5, 3)
    kinds = {index.name: (index.kind, index.size) for index in made.indices}
    assert kinds["h[1].in"] == kinds["h[1].out"] == ("window", None)
    assert kinds["h[1].kernel"] == ("kernel", 5)
    assert made.output.legs == ("t", "o", "h[0].out", "h[1].out")
    assert not [*verify_network(made)]


def test_a_family_without_members_leaves_a_product() -> None:
    made = network(
        "h[a in 0..n] = conv(axes[a])",
        entering="h[*].in",
        kernel="h[*].kernel",
        leaving="h[*].out",
        axes=[7],
    )
    assert len(made.windows) == 1
    text = """network N(axes: int[n]) {
      window h[a in 0..n] = conv(axes[a])
      index i = 3, o = 4
      input x(..., i, h[*].in)
      tensor K(i, o, h[*].kernel)
      output y(..., o, h[*].out)
    }"""
    bare = tncompile.loads(text).instantiate("N", axes=[]).network
    assert not bare.windows
    assert bare.parameters[0].shape == (3, 4)


def test_several_subscripts_and_absent_members() -> None:
    text = """network N() {
      window h[a in 0..2, b in 0..a + 1] = conv(size = 1 + a + b, padding = [a, b])
      hyper r = 2
      input x(..., h[*].in)
      tensor K[a in 0..2, b in 0..2](h[a, b].kernel?, r)
      output y(..., h[0, *].out, h[1, *].out)
    }"""
    made = network_of(text)
    assert [window.name for window in made.windows] == ["h[0, 0]", "h[1, 0]", "h[1, 1]"]
    assert [parameter.shape for parameter in made.parameters] == [(1, 2), (2,), (2, 2), (3, 2)]
    assert made.size_names == ("...", "h.0.0", "h.1.0", "h.1.1")


def test_each_window_has_its_direction() -> None:
    made = network(
        "h = conv(3), w = conv(4, stride = 3, padding = 1, extra = 2)",
        entering="w.out, h.in",
        kernel="h.kernel",
        other="tensor L(w.kernel)",
        leaving="h.out, w.in",
    )
    assert [(w.transposed, w.extra, w.input_leg) for w in made.windows] == [
        (False, 0, "h.in"),
        (True, 2, "w.out"),
    ]


def test_kernels_are_legs_of_tensors() -> None:
    text = """network N() {
      window h = conv(3), w = conv(3)
      hyper r = 4
      index i = 2
      input x(..., i, h.in, w.in)
      tensor A(h.kernel, r)
      tensor B(w.kernel, r) tie A
      tensor C[k in 0..2](r, h.kernel) share k
      tensor D(i, r)
      output y(..., h.out, w.out)
    }"""
    made = network_of(text)
    assert [(p.key, p.shape) for p in made.parameters] == [
        ("A", (3, 4)),
        ("C", (4, 3)),
        ("D", (2, 4)),
    ]
    assert sum("h.kernel" in tensor.legs for tensor in made.tensors) == 3


def test_a_bond_carries_what_kernels_bring() -> None:
    text = """network N(rank: int) {{
      window h = conv({size})
      index i = 2, o = 64
      bond r = rank
      input x(..., i, h.in)
      tensor A(i, h.kernel, r)
      tensor B(r, o)
      output y(..., o, h.out)
    }}"""
    for size, rank in ((3, 6), (5, 10)):
        spec = tncompile.loads(text.format(size=size))
        assert not spec.instantiate("N", rank=rank).warnings
        (warning,) = spec.instantiate("N", rank=rank + 1).warnings
        assert warning.code == "TN307"


def test_a_window_joins_what_has_its_faces() -> None:
    text = """network N() {
      window h = conv(3)
      input x(..., h.in)
      tensor K(h.kernel)
      output y(..., h.out)
    }"""
    assert not tncompile.loads(text).instantiate("N").warnings
    apart = text.replace("output", "index o = 2\ntensor W(o)\noutput").replace("h.out", "o, h.out")
    assert [w.code for w in tncompile.loads(apart).instantiate("N").warnings] == ["TN407"]


def test_complex_tensors_and_constants() -> None:
    made = network("h = conv(3)", attributes="complex init constant(-0.5)")
    (kernel,) = made.parameters
    assert (kernel.complex, kernel.init.scheme, kernel.init.argument) == (True, "constant", -0.5)
    assert made.complex
    assert not network("h = conv(3)").complex
    family = network_of("""network N() {
      index i = 3
      tensor A[k in 0..3](i) init constant(k - 1) share k if k < 2
      tensor B(i) complex frozen
      tensor C(i) tie B conj
      output y(i)
    }""")
    held = [(p.key, p.complex, p.frozen, p.init.argument) for p in family.parameters]
    assert held == [("A", False, False, -1.0), ("B", True, True, None)]
    assert [tensor.conjugate for tensor in family.tensors] == [False, False, False, True]


def test_soft_words_are_names() -> None:
    made = network_of("""network N() {
      window kernel = conv(3), conv = conv(2), out = conv(1)
      batch causal = 3, function
      index complex = 2, constant = 3
      input x(causal, function, complex, kernel.in, conv.in, out.in)
      tensor size(complex, constant, kernel.kernel, conv.kernel, out.kernel) complex
      output y(causal, function, constant, kernel.out, conv.out, out.out)
    }""")
    assert [window.name for window in made.windows] == ["kernel", "conv", "out"]
    assert made.index["causal"].usual == 3


# ── usual sizes ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("batch", "asked", "sizes"),
    [
        ("t", 64, {"t": 64, "h": 32}),
        ("t = 128", 128, {"t": 128, "h": 32}),
        ("t = 4 * size, u = 7", 12, {"t": 12, "u": 7, "h": 32}),
        ("t, u = 7", 64, {"t": 64, "u": 7, "h": 32}),
    ],
)
def test_usual_sizes_are_planned_for(batch: str, asked: int, sizes: dict[str, int]) -> None:
    made = network("h = conv(3)", batch=batch)
    request = plan_request(made)
    assert request.asked == request.batches == (asked,)
    assert dict(request.sizes) == sizes


def test_what_is_asked_for_counts_more_than_what_is_usual() -> None:
    made = network("h = conv(3)", batch="t = 128, u = 7")
    request = plan_request(made, batch=[1, 4], sizes={"h": 56, "u": 9})
    assert request.asked == (1, 4)
    assert dict(request.sizes) == {"t": 4, "u": 9, "h": 56}
    first = plan_request(made, sizes={"t": 5})  # the next axis that is open is the leading one
    assert first.asked == (7,)
    assert dict(first.sizes) == {"t": 5, "u": 7, "h": 32}


def test_dots_lead_and_have_no_usual_size() -> None:
    text = """network N() {
      batch t = 128
      index i = 2
      input x(..., t, i)
      tensor A(i)
      output y(..., t)
    }"""
    request = plan_request(network_of(text))
    assert request.asked == (64,)
    assert dict(request.sizes) == {"...": 64, "t": 128}


def test_sizes_of_windows_by_name() -> None:
    made = network(
        "h[a in 0..n] = conv(axes[a])",
        entering="h[*].in",
        kernel="h[*].kernel",
        leaving="h[*].out",
    )
    assert dict(plan_request(made, sizes={"h.1": 9}).sizes) == {"t": 64, "h.0": 32, "h.1": 9}
    with pytest.raises(ValueError, match=r"`h` is no run-time size .*`t`, `h\.0`, `h\.1`"):
        plan_request(made, sizes={"h": 9})
    with pytest.raises(ValueError, match=r"window `h\[1\]` must be at least 5 long, not 4"):
        plan_request(made, sizes={"h.1": 4})


# ── what a network with windows can be written as ────────────────────────────────────────────────


@given(seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_random_programs_become_legal_networks(seed: int) -> None:
    text = random_program(seed, complex_numbers=seed % 2 == 0)
    spec = tncompile.loads(text)
    made = spec.instantiate("N").network
    assert not [*verify_network(made)]
    assert TensorNetwork.from_json(made.to_json()) == made
    assert [each.name for each in network_of(spec.describe()).windows] == [
        each.name for each in made.windows
    ]
    graph = made.graph()
    assert nx.is_bipartite(graph)
    for window in made.windows:
        legs = (window.input_leg, window.kernel_leg, window.output_leg)
        assert set(graph[("window", window.name)]) == {("index", leg) for leg in legs}


def test_a_network_with_windows_is_described() -> None:
    made = network(
        'h = conv(3, padding = [1, 2], mode = "circular"), w = conv(2, extra = 1)',
        entering="h.in, w.out",
        kernel="h.kernel",
        other="tensor L(w.kernel)",
        leaving="h.out, w.in",
        batch="t = 128",
        attributes="complex",
    )
    text = describe_network(made)
    assert "conv(size = 3, stride = 1, padding = [1, 2], dilation = 1, mode = circular)" in text
    assert "extra = 1)  transposed" in text
    assert "run time, usually 128" in text
    assert "init auto  complex" in text


# ── wrong programs ───────────────────────────────────────────────────────────────────────────────

_TEXTS = tuple(random_program(seed, complex_numbers=True) for seed in range(40))


def _legal_networks(text: str) -> list[TensorNetwork]:
    """The networks of a text; none where it is refused."""
    try:
        spec = tncompile.loads(text)
        return [spec.instantiate(name).network for name in spec.blocks]
    except tncompile.CompileError as error:
        for problem in error.diagnostics:
            if not (problem.hint and problem.primary.text):
                raise AssertionError(text) from error
        return []


@given(mutated_programs(_TEXTS))
@settings(max_examples=300, deadline=None)
def test_mutated_windows_are_refused_cleanly_or_are_legal(text: str) -> None:
    for made in _legal_networks(text):
        assert not [*verify_network(made)], text
