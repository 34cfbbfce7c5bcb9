"""Networks declared field by field."""

from __future__ import annotations

from tncompile.network.model import (
    Axis,
    Bias,
    Index,
    Init,
    Input,
    Output,
    Parameter,
    Tensor,
    TensorNetwork,
)

AUTO = Init(scheme="auto")


def padded_train() -> TensorNetwork:
    """Two cores and a bias: `x(..., (i[*]) as 5)` of six features, three outputs."""
    return TensorNetwork(
        name="Train",
        target="Train()",
        indices=(
            Index(name="...", kind="dots", size=None, family="..."),
            Index(name="i[0]", kind="index", size=2, family="i", subscripts=(0,)),
            Index(name="i[1]", kind="index", size=3, family="i", subscripts=(1,)),
            Index(name="o", kind="index", size=3, family="o"),
            Index(name="b", kind="bond", size=4, family="b"),
        ),
        inputs=(
            Input(
                name="x",
                family="x",
                axes=(
                    Axis(kind="dots", indices=("...",)),
                    Axis(kind="legs", indices=("i[0]", "i[1]"), size=6, width=5),
                ),
                written="x(..., (i[*]) as 5)",
            ),
        ),
        parameters=(
            Parameter(
                key="A",
                family="A",
                axes=(("i[0]",), ("b",)),
                shape=(2, 4),
                init=AUTO,
                written="A(i[0], b)",
            ),
            Parameter(
                key="B",
                family="B",
                axes=(("b",), ("i[1]",), ("o",)),
                shape=(4, 3, 3),
                init=AUTO,
                written="B(b, i[1], o)",
            ),
            Parameter(
                key="c",
                family="c",
                axes=(("o",),),
                shape=(3,),
                init=Init(scheme="linear"),
                written="c(o)",
            ),
        ),
        tensors=(
            Tensor(name="x", role="input", source="x", axes=(("...",), ("i[0]", "i[1]"))),
            Tensor(name="A", role="parameter", source="A", axes=(("i[0]",), ("b",))),
            Tensor(name="B", role="parameter", source="B", axes=(("b",), ("i[1]",), ("o",))),
        ),
        biases=(Bias(parameter="c", axes=(("o",),)),),
        output=Output(
            name="y",
            axes=(
                Axis(kind="dots", indices=("...",)),
                Axis(kind="legs", indices=("o",), size=3),
            ),
            written="y(..., o)",
        ),
    )


def sliced() -> TensorNetwork:
    """Two slices of one input, a hyperedge and ids."""
    return TensorNetwork(
        name="Sliced",
        target="Sliced()",
        indices=(
            Index(name="f[0]", kind="index", size=2, family="f", subscripts=(0,)),
            Index(name="f[1]", kind="index", size=2, family="f", subscripts=(1,)),
            Index(name="w", kind="index", size=5, family="w"),
            Index(name="h", kind="hyper", size=3, family="h"),
        ),
        inputs=(
            Input(
                name="x",
                family="x",
                axes=(Axis(kind="slices", size=2), Axis(kind="legs", indices=("f[0]",), size=2)),
                written="x(k in 0..2, f[k])",
            ),
            Input(
                name="word",
                family="word",
                axes=(Axis(kind="onehot", indices=("w",), size=5),),
                written="word(onehot(w))",
            ),
        ),
        parameters=(
            Parameter(
                key="A",
                family="A",
                axes=(("f[0]",), ("h",)),
                shape=(2, 3),
                init=AUTO,
                written="A[k in 0..2](f[k], h) share k",
            ),
            Parameter(
                key="E",
                family="E",
                axes=(("w",), ("h",)),
                shape=(5, 3),
                init=Init(scheme="normal", argument=0.5),
                frozen=True,
                written="E(w, h) init normal(0.5) frozen",
            ),
        ),
        tensors=(
            Tensor(name="x@0", role="input", source="x", axes=(("f[0]",),), position=(0,)),
            Tensor(name="x@1", role="input", source="x", axes=(("f[1]",),), position=(1,)),
            Tensor(name="word", role="input", source="word", axes=(("w",),)),
            Tensor(name="A[0]", role="parameter", source="A", axes=(("f[0]",), ("h",))),
            Tensor(name="A[1]", role="parameter", source="A", axes=(("f[1]",), ("h",))),
            Tensor(name="E", role="parameter", source="E", axes=(("w",), ("h",)), conjugate=True),
        ),
        output=Output(name="y", axes=(), written="y()"),
    )
