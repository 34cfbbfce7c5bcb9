"""Tensor networks built by hand, for the tests of planning: no text, no parser."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from tncompile.network.model import (
    DOTS,
    Axis,
    Index,
    Init,
    Input,
    Kind,
    Output,
    Parameter,
    Tensor,
    TensorNetwork,
)
from tncompile.network.windows import Window


def make_network(
    sizes: Mapping[str, int | None],
    inputs: Mapping[str, Sequence[str]],
    tensors: Mapping[str, Sequence[str]],
    output: Sequence[str],
    *,
    slices: Mapping[str, Sequence[Sequence[str]]] | None = None,
    shared: Mapping[str, str] | None = None,
    conjugate: bool = False,
    first: str = "inputs",
    windows: Sequence[Window] = (),
    complex_tensors: Collection[str] = (),
) -> TensorNetwork:
    """A network of plain axes. `slices` are inputs with one bound axis: the legs of each slice.

    `shared` maps the name of a tensor to the one whose parameter it uses. Indices of size None are
    run-time ones. With `conjugate` the second uses are conjugated. Legs of `windows` have no entry
    in `sizes`. `complex_tensors` are names of tensors, or of families of them.
    """
    kinds: dict[str, Kind] = {}
    sizes = dict(sizes)
    for window in windows:
        kinds |= dict.fromkeys((window.input_leg, window.output_leg), "window")
        kinds[window.kernel_leg] = "kernel"
        sizes |= {window.input_leg: None, window.kernel_leg: window.size, window.output_leg: None}
    runtime = {name for name, size in sizes.items() if size is None}
    given = [_input(name, tuple(legs), sizes) for name, legs in inputs.items()]
    factors = [
        Tensor(name=name, role="input", source=name, axes=tuple((leg,) for leg in legs))
        for name, legs in inputs.items()
    ]
    for name, members in (slices or {}).items():
        leading = tuple(leg for leg in members[0] if leg in runtime)
        own = tuple(leg for leg in members[0] if leg not in runtime)
        axes = (
            *(_axis(leg, sizes) for leg in leading),
            Axis(kind="slices", size=len(members)),
            *(_axis(leg, sizes) for leg in own),
        )
        given.append(Input(name=name, family=name, axes=axes, written=f"{name}(…)"))
        factors += [
            Tensor(
                name=f"{name}@{k}",
                role="input",
                source=name,
                axes=tuple((leg,) for leg in legs),
                position=(k,),
            )
            for k, legs in enumerate(members)
        ]
    tied = shared or {}
    uses = [
        Tensor(
            name=name,
            role="parameter",
            source=_key(tied.get(name, name)),
            axes=tuple((leg,) for leg in legs),
            conjugate=conjugate and name in tied,
        )
        for name, legs in tensors.items()
    ]
    parameters = [
        Parameter(
            key=_key(name),
            family=name.split("[")[0],
            axes=tuple((leg,) for leg in legs),
            shape=tuple(sizes[leg] or 0 for leg in legs),
            init=Init(scheme="auto"),
            complex=name in complex_tensors or name.split("[")[0] in complex_tensors,
            written=f"{name}(…)",
        )
        for name, legs in tensors.items()
        if name not in tied
    ]
    return TensorNetwork(
        name="Test",
        target="Test()",
        indices=tuple(_index(name, size, kinds.get(name)) for name, size in sizes.items()),
        windows=tuple(windows),
        inputs=tuple(given),
        parameters=tuple(parameters),
        tensors=tuple(factors + uses if first == "inputs" else uses + factors),
        output=Output(name="y", axes=tuple(_axis(leg, sizes) for leg in output), written="y(…)"),
    )


def _key(name: str) -> str:
    """The state-dict key of a tensor: `G.1` of `G[1]`."""
    return name.replace("[", ".").replace(",", ".").rstrip("]")


def _index(name: str, size: int | None, kind: Kind | None = None) -> Index:
    kind = kind or ("dots" if name == DOTS else "batch" if size is None else "index")
    return Index(name=name, kind=kind, size=size, family=name)


def _axis(leg: str, sizes: Mapping[str, int | None]) -> Axis:
    if leg == DOTS:
        return Axis(kind="dots", indices=(DOTS,))
    return Axis(kind="legs", indices=(leg,), size=sizes[leg])


def _input(name: str, legs: tuple[str, ...], sizes: Mapping[str, int | None]) -> Input:
    axes = tuple(_axis(leg, sizes) for leg in legs)
    return Input(name=name, family=name, axes=axes, written=f"{name}(…)")


# ── the usual ones ──────────────────────────────────────────────────────────────────────────────


def mpo(ins: Sequence[int], outs: Sequence[int], rank: int) -> TensorNetwork:
    """A tensor train from (…, i₀, i₁, …) to (…, o₀, o₁, …)."""
    n = len(ins)
    sizes: dict[str, int | None] = {DOTS: None}
    sizes |= {f"i{k}": ins[k] for k in range(n)} | {f"o{k}": outs[k] for k in range(n)}
    sizes |= {f"b{k}": rank for k in range(n - 1)}
    tensors = {
        f"G[{k}]": [
            *([f"b{k - 1}"] if k else []),
            f"i{k}",
            f"o{k}",
            *([f"b{k}"] if k < n - 1 else []),
        ]
        for k in range(n)
    }
    return make_network(
        sizes,
        {"x": [DOTS, *(f"i{k}" for k in range(n))]},
        tensors,
        [DOTS, *(f"o{k}" for k in range(n))],
    )


def mps(n: int, f: int, rank: int, classes: int) -> TensorNetwork:
    """The chain classifier: two arms around a tensor that carries the label."""
    middle = n // 2
    sizes: dict[str, int | None] = {DOTS: None, "label": classes}
    sizes |= {f"p{k}": f for k in range(n)} | {f"b{k}": rank for k in range(n)}
    tensors: dict[str, list[str]] = {}
    for k in range(middle):
        tensors[f"A[{k}]"] = [*([f"b{k - 1}"] if k else []), f"p{k}", f"b{k}"]
    tensors["M"] = [f"b{middle - 1}", "label", f"b{middle}"]
    for k in range(middle, n):
        tensors[f"D[{k}]"] = [f"b{k}", f"p{k}", *([f"b{k + 1}"] if k < n - 1 else [])]
    return make_network(
        sizes, {}, tensors, [DOTS, "label"], slices={"x": [[DOTS, f"p{k}"] for k in range(n)]}
    )


def tree(leaves: int, f: int, chi: int, classes: int) -> TensorNetwork:
    """The binary tree classifier, its tensors shared within a layer."""
    depth = int(math.log2(leaves))
    sizes: dict[str, int | None] = {DOTS: None, "c": classes}
    sizes |= {f"p{j}": f for j in range(leaves)}
    for layer in range(depth + 1):
        sizes |= {f"v{layer},{j}": chi for j in range(leaves >> layer)}
    tensors = {f"E[{j}]": [f"p{j}", f"v0,{j}"] for j in range(leaves)}
    shared = {f"E[{j}]": "E[0]" for j in range(1, leaves)}
    for layer in range(1, depth + 1):
        for j in range(leaves >> layer):
            below = layer - 1
            name = f"N[{layer},{j}]"
            tensors[name] = [f"v{below},{2 * j}", f"v{below},{2 * j + 1}", f"v{layer},{j}"]
            if j:
                shared[name] = f"N[{layer},0]"
    tensors["T"] = [f"v{depth},0", "c"]
    return make_network(
        sizes,
        {},
        tensors,
        [DOTS, "c"],
        slices={"x": [[DOTS, f"p{j}"] for j in range(leaves)]},
        shared=shared,
    )


def peps(rows: int, cols: int, f: int, rank: int, classes: int) -> TensorNetwork:
    """A square lattice over the pixels of an image, its last site carrying the label."""
    sizes: dict[str, int | None] = {DOTS: None, "label": classes}
    sites = [(r, c) for r in range(rows) for c in range(cols)]
    sizes |= {f"p{r},{c}": f for r, c in sites}
    sizes |= {f"h{r},{c}": rank for r, c in sites if c < cols - 1}
    sizes |= {f"v{r},{c}": rank for r, c in sites if r < rows - 1}
    tensors = {
        f"S[{r},{c}]": [
            leg
            for leg in (
                f"p{r},{c}",
                f"h{r},{c - 1}",
                f"h{r},{c}",
                f"v{r - 1},{c}",
                f"v{r},{c}",
            )
            if leg in sizes
        ]
        for r, c in sites
    }
    tensors[f"S[{rows - 1},{cols - 1}]"].append("label")
    return make_network(
        sizes, {}, tensors, [DOTS, "label"], slices={"x": [[DOTS, f"p{r},{c}"] for r, c in sites]}
    )


def ring(ins: Sequence[int], outs: Sequence[int], rank: int) -> TensorNetwork:
    """A tensor ring from (…, i₀, …) to (…, o₀, …)."""
    n = len(ins)
    sizes: dict[str, int | None] = {DOTS: None}
    sizes |= {f"i{k}": ins[k] for k in range(n)} | {f"o{k}": outs[k] for k in range(n)}
    sizes |= {f"b{k}": rank for k in range(n)}
    tensors = {f"G[{k}]": [f"b{k}", f"i{k}", f"o{k}", f"b{(k + 1) % n}"] for k in range(n)}
    return make_network(
        sizes,
        {"x": [DOTS, *(f"i{k}" for k in range(n))]},
        tensors,
        [DOTS, *(f"o{k}" for k in range(n))],
    )


def cp(ins: Sequence[int], outs: Sequence[int], rank: int) -> TensorNetwork:
    """Canonical polyadic: one hyperedge through all factors."""
    sizes: dict[str, int | None] = {DOTS: None, "r": rank}
    sizes |= {f"i{k}": size for k, size in enumerate(ins)}
    sizes |= {f"o{k}": size for k, size in enumerate(outs)}
    tensors = {f"U[{k}]": [f"i{k}", "r"] for k in range(len(ins))}
    tensors |= {f"V[{k}]": [f"o{k}", "r"] for k in range(len(outs))}
    return make_network(
        sizes,
        {"x": [DOTS, *(f"i{k}" for k in range(len(ins)))]},
        tensors | {"w": ["r"]},
        [DOTS, *(f"o{k}" for k in range(len(outs)))],
    )


def norm(n: int, rank: int, size: int = 2) -> TensorNetwork:
    """A chain contracted with itself: no input, no output leg, each parameter twice."""
    sizes: dict[str, int | None] = {f"s{k}": size for k in range(n)}
    sizes |= {f"a{k}": rank for k in range(n - 1)} | {f"z{k}": rank for k in range(n - 1)}

    def core(bond: str, k: int) -> list[str]:
        legs = [f"{bond}{k - 1}", f"s{k}", f"{bond}{k}"]
        return legs[1:] if k == 0 else legs[:-1] if k == n - 1 else legs

    tensors = {f"A[{k}]": core("a", k) for k in range(n)}
    tensors |= {f"B[{k}]": core("z", k) for k in range(n)}
    shared = {f"B[{k}]": f"A[{k}]" for k in range(n)}
    return make_network(sizes, {}, tensors, [], shared=shared, conjugate=True)


def low_rank(inside: int, outside: int, rank: int) -> TensorNetwork:
    """Two matrices."""
    return make_network(
        {DOTS: None, "i": inside, "o": outside, "r": rank},
        {"x": [DOTS, "i"]},
        {"A": ["i", "r"], "B": ["r", "o"]},
        [DOTS, "o"],
    )
