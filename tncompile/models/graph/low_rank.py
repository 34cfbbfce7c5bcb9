"""The network that a model of low rank is the same map as, and what such models are known by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tncompile.language.typing.model import PlainTensor, ResolvedModel
from tncompile.language.typing.operations import Apply, Stored
from tncompile.language.typing.values import Value
from tncompile.network.model import (
    DOTS,
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


def operands_of(value: Value, function: str) -> Sequence[Value] | None:
    """The two operands of a function, if a value is made by it."""
    match value.operation:
        case Apply(function=name, operands=operands) if name == function and len(operands) == 2:
            return operands
        case _:
            return None


def stored_in(value: Value, axes: int, kind: str | None = None) -> PlainTensor | None:
    """The tensor that a value is, if it has so many axes, and is of a kind."""
    match value.operation:
        case Stored(tensor=tensor) if len(tensor.shape) == axes:
            return tensor if kind is None or tensor.kind == kind else None
        case _:
            return None


def is_of(model: ResolvedModel, tensors: Sequence[PlainTensor]) -> bool:
    """Whether these are all that a model is made of, each once."""
    paths = [each.path for each in tensors]
    known = {each.path for each in model.tensors}
    return len(set(paths)) == len(paths) and set(paths) == known and not model.parts


INNER, LEFT, RIGHT = "r", "A", "B"
"""The bond of the network of low rank, and its factors."""


def low_rank_network(
    model: ResolvedModel,
    sizes: tuple[int, int, int],
    bias: PlainTensor | None = None,
    *,
    is_complex: bool = False,
    ids: bool = False,
) -> TensorNetwork:
    """The network of a map of `sizes` (inputs, rank, outputs); with `ids` that of a table.

    Its parameters `A` (inputs, rank) and `B` (rank, outputs) are no tensors of the model; its bias
    is.
    """
    names = {LEFT: LEFT, RIGHT: RIGHT}
    if bias is not None:
        while bias.path in names.values():
            names = {key: f"{name}_" for key, name in names.items()}
    lengths = dict(zip(("i", INNER, "o"), sizes, strict=True))
    shapes = {names[LEFT]: ("i", INNER), names[RIGHT]: (INNER, "o")}

    def parameter(key: str, legs: Sequence[str], scheme: str, is_complex: bool) -> Parameter:
        return Parameter.model_validate(
            {
                "key": key,
                "family": key,
                "axes": tuple((leg,) for leg in legs),
                "shape": tuple(lengths[leg] for leg in legs),
                "init": Init.model_validate({"scheme": scheme}),
                "complex": is_complex,
                "written": f"{key}({', '.join(legs)})",
            }
        )

    parameters = [parameter(k, legs, "auto", is_complex) for k, legs in shapes.items()]
    biases: tuple[Bias, ...] = ()
    if bias is not None:
        key = bias.path
        parameters.append(parameter(key, ("o",), "linear", bias.complex))
        biases = (Bias(parameter=key, axes=(("o",),)),)
    dots = Axis(kind="dots", indices=(DOTS,))
    feature: Literal["onehot", "legs"] = "onehot" if ids else "legs"
    given = Axis(kind=feature, indices=("i",), size=lengths["i"])
    made = Axis(kind="legs", indices=("o",), size=lengths["o"])
    source, written = ("ids", "ids(..., onehot(i))") if ids else ("x", "x(..., i)")
    kinds = {"i": "index", "o": "index", INNER: "bond"}
    indices = [Index(name=DOTS, kind="dots", size=None, family=DOTS)]
    indices += [
        Index.model_validate({"name": leg, "kind": kind, "size": lengths[leg], "family": leg})
        for leg, kind in kinds.items()
    ]
    tensors = [Tensor(name=source, role="input", source=source, axes=((DOTS,), ("i",)))]
    tensors += [
        Tensor(name=key, role="parameter", source=key, axes=tuple((leg,) for leg in legs))
        for key, legs in shapes.items()
    ]
    return TensorNetwork(
        name=model.name,
        target=model.target,
        doc=model.doc,
        indices=tuple(indices),
        inputs=(Input(name=source, family=source, axes=(dots, given), written=written),),
        parameters=tuple(parameters),
        tensors=tuple(tensors),
        biases=biases,
        output=Output(name="y", axes=(dots, made), written="y(..., o)"),
    )
