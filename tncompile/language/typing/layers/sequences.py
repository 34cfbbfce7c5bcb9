"""Layers along the steps of a sequence: recurrent ones, and attention with its maps."""

from __future__ import annotations

from collections.abc import Mapping

from tncompile.language.typing.layers.entry import (
    BIAS,
    MOST_LAYERS,
    Argument,
    Complaint,
    Entry,
    Input,
    LayerCall,
    Settings,
    Shapes,
    flag,
    probability,
    size,
)
from tncompile.language.typing.values import Shape

_BATCH_FIRST = flag("batch_first", False)

# ── recurrent layers ───────────────────────────────────────────────────────────────────────────


def _directions(s: Settings) -> int:
    return 2 if s.flag("bidirectional") else 1


def _given(s: Settings) -> int:
    """How many entries a step gives in one direction: an LSTM may project them."""
    projected = s.number("proj_size") if "proj_size" in s.values else 0
    return projected or s.number("hidden_size")


def _weights(s: Settings, gates: int) -> Shapes:
    hidden, given = s.number("hidden_size"), _given(s)
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(s.number("num_layers")):
        taken = s.number("input_size") if layer == 0 else given * _directions(s)
        for suffix in ("", "_reverse")[: _directions(s)]:
            key = f"l{layer}{suffix}"
            shapes[f"weight_ih_{key}"] = (gates * hidden, taken)
            shapes[f"weight_hh_{key}"] = (gates * hidden, given)
            if s.flag("bias"):
                shapes[f"bias_ih_{key}"] = shapes[f"bias_hh_{key}"] = (gates * hidden,)
            if given != hidden:
                shapes[f"weight_hr_{key}"] = (given, hidden)
    return shapes


def _projection_misfit(s: Settings) -> Complaint | None:
    if "proj_size" not in s.values or s.number("proj_size") < s.number("hidden_size"):
        return None
    message = "`proj_size` is less than `hidden_size`"
    return Complaint("proj_size", message, "make it smaller, or leave it out")


def _recurrent(gates: int, states: tuple[str, ...], *, word: bool = False) -> Entry:
    nonlinearity = Argument("nonlinearity", "word", "tanh", words=("tanh", "relu"))
    projection = Argument("proj_size", "int", 0, least=0)
    arguments = (
        size("input_size"),
        size("hidden_size"),
        Argument("num_layers", "int", 1, least=1, most=MOST_LAYERS),
        *((nonlinearity,) if word else ()),
        BIAS,
        _BATCH_FIRST,
        probability("dropout", 0.0),
        flag("bidirectional", False),
        *((projection,) if len(states) > 1 else ()),
    )

    def state_axes(s: Settings, state: str) -> tuple[str | int, ...]:
        width = _given(s) if state == "h" else s.number("hidden_size")
        return s.number("num_layers") * _directions(s), "b", width

    def takes(s: Settings, ranks: tuple[int, ...]) -> tuple[Input, ...]:
        steps = Input("input", ("b", "t", s.number("input_size")))
        return steps, *(Input(state, state_axes(s, state)) for state in states)

    def gives(s: Settings, bound: LayerCall) -> tuple[Shape, ...]:
        outputs = bound.shape("b", "t", _given(s) * _directions(s))
        return outputs, *(bound.shape(*state_axes(s, state)) for state in states)

    return Entry(
        arguments,
        takes=takes,
        gives=gives,
        counts=(1, 1 + len(states)),
        parameters=lambda s: _weights(s, gates),
        wrong=_projection_misfit,
        training=True,
    )


# ── attention ──────────────────────────────────────────────────────────────────────────────────


def _widths(s: Settings) -> tuple[int, int, int]:
    width = s.number("embed_dim")
    return width, s.number("kdim", width), s.number("vdim", width)


def _maps(s: Settings) -> Shapes:
    width, keys, values = _widths(s)
    shapes: dict[str, tuple[int, ...]] = {}
    if keys == values == width:
        shapes["in_proj_weight"] = (3 * width, width)
    else:
        for name, taken in (("q", width), ("k", keys), ("v", values)):
            shapes[f"{name}_proj_weight"] = (width, taken)
    if s.flag("bias"):
        shapes["in_proj_bias"] = (3 * width,)
    if s.flag("add_bias_kv"):
        shapes["bias_k"] = shapes["bias_v"] = (1, 1, width)
    shapes["out_proj.weight"] = (width, width)
    if s.flag("bias"):
        shapes["out_proj.bias"] = (width,)
    return shapes


def _head_misfit(s: Settings) -> Complaint | None:
    width, heads = s.number("embed_dim"), s.number("num_heads")
    if width % heads == 0:
        return None
    message = f"`num_heads` divides `embed_dim`; {heads} does not divide {width}"
    return Complaint("num_heads", message, f"write a divisor of {width}")


def _looks(s: Settings, ranks: tuple[int, ...]) -> tuple[Input, ...]:
    width, keys, values = _widths(s)
    return (
        Input("query", ("b", "s", width)),
        Input("key", ("b", "t", keys)),
        Input("value", ("b", "t", values)),
        Input("key_padding_mask", ("b", "t"), "bool"),
    )


_ATTENTION = Entry(
    (
        size("embed_dim"),
        size("num_heads"),
        probability("dropout", 0.0),
        BIAS,
        flag("add_bias_kv", False),
        flag("add_zero_attn", False),
        size("kdim", needed=False),
        size("vdim", needed=False),
        _BATCH_FIRST,
    ),
    takes=_looks,
    gives=lambda s, bound: (bound.shape("b", "s", s.number("embed_dim")),),
    counts=(3, 4),
    parameters=_maps,
    wrong=_head_misfit,
    training=True,
)

SEQUENCES: Mapping[str, Entry] = {
    "RNN": _recurrent(1, ("h",), word=True),
    "GRU": _recurrent(3, ("h",)),
    "LSTM": _recurrent(4, ("h", "c")),
    "MultiheadAttention": _ATTENTION,
}
