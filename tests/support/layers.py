"""Layers of models as tests write them, their twins of torch, and arguments to try."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import nn

from tncompile.language.diagnostics.collector import Failed, Problems
from tncompile.language.diagnostics.diagnostic import Diagnostic
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import SourceFile, Span
from tncompile.language.typing.layers import call_layer, make_layer
from tncompile.language.typing.layers.entry import Entry, Input
from tncompile.language.typing.model import Layer, ModelInput, Part
from tncompile.language.typing.operations import Read
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.state import Call, Typed, Typing
from tncompile.language.typing.values import Kind, Shape, Term, Value

Axis = int | str | Size
HERE = Span(SourceFile("here", "part p = L"), 0, 4)


def written(
    name: str, positional: Sequence[Any] = (), **named: Any
) -> tuple[tree.Name, list[Typed]]:
    """A call of a layer as the parser gives it, with a text in which every place is."""
    text, places = f"{name}(", []
    for key, term in [*((None, each) for each in positional), *named.items()]:
        start = len(text)
        text += f"{key} = " if key else ""
        places.append((key, term, start, len(text), len(text) + len(str(term))))
        text += f"{term}, "
    source = SourceFile("here", text + ")")
    arguments = [
        Typed(
            term,
            Span(source, middle, end),
            tree.Name(key, span=Span(source, start, start + len(key))) if key else None,
        )
        for key, term, start, middle, end in places
    ]
    return tree.Name(name, span=Span(source, 0, len(name))), arguments


def made(layer: str, *positional: Any, **named: Any) -> Layer:
    """The layer of these arguments."""
    name, arguments = written(layer, positional, **named)
    return make_layer(Typing(Problems()), name, arguments)


def refusal(layer: str, *positional: Any, **named: Any) -> Diagnostic:
    """What is wrong with these arguments."""
    with pytest.raises(Failed) as caught:
        made(layer, *positional, **named)
    assert caught.value.diagnostic is not None
    return caught.value.diagnostic


def value(kind: Kind, *axes: Axis) -> Value:
    """An input with these axes; `...` in front for any number."""
    made = {int: Size.number, str: Size.name, Size: lambda size: size}
    sizes = tuple(made[type(axis)](axis) for axis in axes if axis != "...")
    shape = Shape(sizes, axes[:1] == ("...",))
    read = Read(source=ModelInput("x", (), kind, shape, HERE, ()), span=HERE)
    return Value(kind, shape, read, span=HERE)


def called(layer: Layer, *operands: Term, typing: Typing | None = None, piped: int = 0) -> Term:
    """What the layer gives for these operands."""
    part = Part("p", (), (), layer, declared=HERE)
    text = f"p({', '.join('x' for _ in operands)})"
    source = SourceFile("here", text)
    arguments = tuple(
        Typed(term, Span(source, 2 + 3 * k, 3 + 3 * k)) for k, term in enumerate(operands)
    )
    call = Call("p", Span(source, 0, 1), Span(source, 0, len(text)), arguments, piped)
    return call_layer(typing or Typing(Problems()), part, call)


def trouble(layer: Layer, *operands: Term, piped: int = 0) -> Diagnostic:
    """What is wrong with these operands."""
    with pytest.raises(Failed) as caught:
        called(layer, *operands, piped=piped)
    assert caught.value.diagnostic is not None
    return caught.value.diagnostic


EACH = ("kernel_size", "stride", "padding", "dilation", "output_padding", "output_size")
POOLS: Mapping[str, Sequence[Any]] = {
    "kernel_size": (1, 2, 3, 4),
    "stride": (1, 2, 3, 0),
    "padding": (0, 1, 2, -1, "same", "valid", "some"),
    "dilation": (1, 2, 3, 0),
    "output_padding": (0, 1, 2),
    "output_size": (1, 2, 5),
    "groups": (1, 2, 3, 0),
    "padding_mode": ("zeros", "reflect", "replicate", "circular", "none"),
    "num_groups": (1, 2, 3, 4),
    "num_heads": (1, 2, 3),
    "embed_dim": (2, 4, 6),
    "num_layers": (1, 2, 3, 0),
    "proj_size": (0, 1, 2, 4, -1),
    "nonlinearity": ("tanh", "relu", "gelu"),
    "p": (0, 0.5, 1, 1.5, -0.1),
    "dropout": (0.0, 0.5, 1, 2.0),
    "padding_idx": (0, 3, -4, 4, -5),
    "num_embeddings": (4,),
    "mode": ("sum", "mean", "max", "min"),
    "eps": (1e-5, 0.25, 0),
    "momentum": (0.1, 0, 1),
    "init": (0.25, 1),
    "normalized_shape": (3, (3,), (2, 4), ()),
    "num_parameters": (1, 2, 6),
    "start_dim": (0, 1, 2, -2, -1),
    "end_dim": (1, 2, -1, -2),
    "divisor_override": (1, 3, 0),
}
NEVER = {"max_norm"}


def flat(written: Any) -> list[int]:
    """The ints of an argument for windows; a word has none."""
    items = written if isinstance(written, tuple) else (written,)
    return [each for each in items if isinstance(each, int)]


def drawn(entry: Entry, random: random.Random) -> dict[str, Any]:
    """Arguments, not all of which are good."""
    chosen: dict[str, Any] = {}
    for argument in entry.arguments:
        if argument.name in NEVER or not (argument.needed or random.random() < 0.4):
            continue
        if argument.type == "bool":
            chosen[argument.name] = random.random() < 0.5
        elif argument.name in POOLS:
            pool = POOLS[argument.name]
            chosen[argument.name] = random.choice(pool)
            if argument.name in EACH and random.random() < 0.5:
                numbers = [each for each in pool if isinstance(each, int)]
                count = entry.axes + (random.random() < 0.05)
                chosen[argument.name] = tuple(random.choice(numbers) for _ in range(count))
        else:
            chosen[argument.name] = random.choice((2, 4, 4, 6)) if argument.type == "int" else 2.0
    if "batch_first" in entry.names:
        chosen["batch_first"] = True
    for argument in entry.arguments:  # what torch has and the language has not
        if argument.only is not None and argument.name in chosen:
            chosen[argument.name] = argument.only
    return chosen


def tensors(
    entry: Entry, inputs: Sequence[Input], free: Mapping[str, int], lead: Sequence[int]
) -> list[torch.Tensor]:
    """Operands of these sizes, with one batch axis where torch takes one."""
    found = []
    for due in inputs:
        behind = [
            axis if isinstance(axis, int) else free[axis] for axis in due.axes if axis != "..."
        ]
        front = list(lead) if "..." in due.axes else []
        if entry.behind:
            front = [math.prod(lead)]
        shape = (*front, *behind)
        match due.kind:
            case "int":
                found.append(torch.zeros(shape, dtype=torch.int64))
            case "bool":
                found.append(torch.zeros(shape, dtype=torch.bool))
            case _:
                found.append(torch.rand(shape))
    return found


def results(twin: nn.Module, operands: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """What the layer of torch gives, as a list."""
    match twin:
        case nn.LSTM():
            states = tuple(operands[1:])
            out, last = twin(operands[0], states) if states else twin(operands[0])
            return [out, *last]
        case nn.RNNBase():
            return list(twin(*operands))
        case nn.MultiheadAttention():
            mask = operands[3] if len(operands) > 3 else None
            return [twin(*operands[:3], key_padding_mask=mask, need_weights=False)[0]]
    return [twin(*operands)]


def ranks_of(layer: str, entry: Entry, count: int, random: random.Random) -> tuple[int, ...]:
    """How many axes the operands have, where that is open."""
    first = {"BatchNorm1d": (2, 3), "GroupNorm": (2, 3, 4), "Flatten": (3, 4), "PReLU": (2, 3)}
    return (random.choice(first.get(layer, (2,))),) * count


def holds(typing: Typing, sizes: Mapping[str, int]) -> bool:
    """Whether all that `forward` checks is so."""
    compare = {"==": int.__eq__, "<=": int.__le__}
    return all(
        compare[each.operator](each.left.at(sizes), each.right.at(sizes)) for each in typing.checks
    )
