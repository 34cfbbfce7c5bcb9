"""Layers that treat every row alike, or every sample: maps, tables, norms, dropout."""

from __future__ import annotations

from collections.abc import Mapping

from tncompile.language.typing.layers.entry import (
    ANY,
    BIAS,
    IN_PLACE,
    Argument,
    Complaint,
    Entry,
    Input,
    LayerCall,
    Settings,
    Shapes,
    epsilon,
    flag,
    probability,
    size,
    spatial,
)
from tncompile.language.typing.sizes import Size, product
from tncompile.language.typing.values import Shape

# ── maps and tables ────────────────────────────────────────────────────────────────────────────


def _linear_weights(s: Settings) -> Shapes:
    rows = s.number("out_features")
    bias = {"bias": (rows,)} if s.flag("bias") else {}
    return {"weight": (rows, s.number("in_features")), **bias}


_LINEAR = Entry(
    (size("in_features"), size("out_features"), BIAS),
    takes=lambda s, ranks: (Input("input", (ANY, s.number("in_features"))),),
    gives=lambda s, bound: (bound.shape(ANY, s.number("out_features")),),
    parameters=_linear_weights,
    linear=True,
)


def _table(s: Settings) -> Shapes:
    return {"weight": (s.number("num_embeddings"), s.number("embedding_dim"))}


def _padding_row(s: Settings) -> Complaint | None:
    rows = s.number("num_embeddings")
    if -rows <= s.number("padding_idx") < rows:
        return None
    message = f"`padding_idx` is a row of the table, from {-rows} to {rows - 1}"
    return Complaint("padding_idx", message, "write a row of the table")


_ROW = Argument("padding_idx", "int")
_NORM = (
    Argument("max_norm", "float", why="a table never changes in `forward`"),
    Argument("norm_type", "float", 2.0, only=2.0, why="it belongs to `max_norm`"),
    flag("scale_grad_by_freq", False, False, "gradients are those of `forward`"),
)
_DENSE = flag("sparse", False, False, "gradients are dense")

_EMBEDDING = Entry(
    (size("num_embeddings"), size("embedding_dim"), _ROW, *_NORM, _DENSE),
    takes=lambda s, ranks: (Input("input", (ANY,), "int"),),
    gives=lambda s, bound: (bound.shape(ANY, s.number("embedding_dim")),),
    parameters=_table,
    wrong=_padding_row,
)


def _bags(s: Settings, ranks: tuple[int, ...]) -> tuple[Input, ...]:
    if len(ranks) == 1:
        return (Input("input", ("b", "n"), "int"),)
    bags = Input("input", ("n",), "int"), Input("offsets", ("b",), "int")
    weights = Input("per_sample_weights", ("n",))
    return (*bags, weights) if s.values["mode"] == "sum" else bags  # as torch


_BAG = Entry(
    (
        size("num_embeddings"),
        size("embedding_dim"),
        *_NORM,
        Argument("mode", "word", "mean", words=("sum", "mean", "max")),
        _DENSE,
        flag("include_last_offset", False, False, "offsets begin the bags"),
        _ROW,
    ),
    takes=_bags,
    gives=lambda s, bound: (bound.shape("b", s.number("embedding_dim")),),
    counts=(1, 2, 3),
    parameters=_table,
    wrong=_padding_row,
)

# ── norms ──────────────────────────────────────────────────────────────────────────────────────


def _weights(s: Settings, shape: tuple[int, ...], affine: str, bias: bool) -> Shapes:
    if not s.flag(affine):
        return {}
    return {"weight": shape, "bias": shape} if bias else {"weight": shape}


_SHAPE = Argument("normalized_shape", "ints", needed=True, least=1)
_AFFINE = flag("elementwise_affine", True)


def _normalized(s: Settings, ranks: tuple[int, ...]) -> tuple[Input, ...]:
    return (Input("input", (ANY, *s.ints("normalized_shape"))),)


_LAYER_NORM = Entry(
    (_SHAPE, epsilon(), _AFFINE, BIAS),
    takes=_normalized,
    parameters=lambda s: _weights(
        s, s.ints("normalized_shape"), "elementwise_affine", s.flag("bias")
    ),
)

_RMS_NORM = Entry(
    (_SHAPE, epsilon(None), _AFFINE),
    takes=_normalized,
    parameters=lambda s: _weights(s, s.ints("normalized_shape"), "elementwise_affine", False),
)


def _statistics(s: Settings) -> Shapes:
    if not s.flag("track_running_stats"):
        return {}
    features = (s.number("num_features"),)
    return {"running_mean": features, "running_var": features, "num_batches_tracked": ()}


def _feature_weights(s: Settings) -> Shapes:
    return _weights(s, (s.number("num_features"),), "affine", True)


def _feature_arguments(affine: bool, track: bool) -> tuple[Argument, ...]:
    momentum = Argument("momentum", "float", 0.1)
    statistics = flag("track_running_stats", track)
    return size("num_features"), epsilon(), momentum, flag("affine", affine), statistics


def _no_epsilon(s: Settings) -> Complaint | None:
    if s.values["eps"] != 0:
        return None
    return Complaint("eps", "`eps` of a batch norm is more than 0", "write a small number: `1e-5`")


def _lines(s: Settings, ranks: tuple[int, ...]) -> tuple[Input, ...]:
    axes = ("b", s.number("num_features"), "l")
    return (Input("input", axes[:2] if ranks[0] == 2 else axes),)


_BATCH_NORM_1D = Entry(
    _feature_arguments(True, True),
    takes=_lines,
    parameters=_feature_weights,
    buffers=_statistics,
    wrong=_no_epsilon,
    training=True,
)


def _batch_norm(axes: int) -> Entry:
    return Entry(
        _feature_arguments(True, True),
        takes=spatial(axes, "num_features"),
        parameters=_feature_weights,
        buffers=_statistics,
        wrong=_no_epsilon,
        training=True,
        behind=axes + 1,
    )


_INSTANCE_NORM = Entry(
    _feature_arguments(False, False),
    takes=spatial(2, "num_features"),
    parameters=_feature_weights,
    buffers=_statistics,
    training=True,
    behind=3,
)


def _channels(s: Settings, count: int, rank: int) -> tuple[Input, ...]:
    return (Input("input", ("b", count, *(f"s{k}" for k in range(1, rank - 1)))),)


def _group_misfit(s: Settings) -> Complaint | None:
    groups, channels = s.number("num_groups"), s.number("num_channels")
    if channels % groups == 0:
        return None
    message = f"`num_groups` divides `num_channels`; {groups} does not divide {channels}"
    return Complaint("num_groups", message, f"write a divisor of {channels}")


_GROUP_NORM = Entry(
    (size("num_groups"), size("num_channels"), epsilon(), flag("affine", True)),
    takes=lambda s, ranks: _channels(s, s.number("num_channels"), ranks[0]),
    parameters=lambda s: _weights(s, (s.number("num_channels"),), "affine", True),
    wrong=_group_misfit,
    first=True,
)

# ── entry by entry ─────────────────────────────────────────────────────────────────────────────


def _slopes(s: Settings, ranks: tuple[int, ...]) -> tuple[Input, ...]:
    count = s.number("num_parameters")
    return (Input("input", (ANY,)),) if count == 1 else _channels(s, count, ranks[0])


_PRELU = Entry(
    (size("num_parameters", 1), Argument("init", "float", 0.25)),
    takes=_slopes,
    parameters=lambda s: {"weight": (s.number("num_parameters"),)},
)

_DROPOUT = Entry((probability("p", 0.5), IN_PLACE), linear=True, training=True)

_DROPOUT_2D = Entry(
    (probability("p", 0.5), IN_PLACE),
    takes=spatial(2),
    training=True,
    behind=3,
)

# ── flatten ────────────────────────────────────────────────────────────────────────────────────


def _every_axis(s: Settings, ranks: tuple[int, ...]) -> tuple[Input, ...]:
    return (Input("input", tuple(f"a{k}" for k in range(ranks[0]))),)


def _ends(s: Settings, rank: int) -> tuple[int, int]:
    start, end = s.number("start_dim"), s.number("end_dim")
    return start + rank * (start < 0), end + rank * (end < 0)


def _no_such_axis(s: Settings, rank: int) -> str | None:
    start, end = _ends(s, rank)
    for name, dim in (("start_dim", start), ("end_dim", end)):
        if not 0 <= dim < rank:
            return f"there is no axis {s.number(name)}, which is `{name}`"
    return None if start <= end else f"`end_dim` is axis {end}, left of `start_dim`, axis {start}"


def _flattened(s: Settings, bound: LayerCall) -> tuple[Shape, ...]:
    sizes: tuple[Size, ...] = bound.operands[0].shape.sizes
    start, end = _ends(s, len(sizes))
    return (Shape((*sizes[:start], product(sizes[start : end + 1]), *sizes[end + 1 :])),)


_FLATTEN = Entry(
    (Argument("start_dim", "int", 1), Argument("end_dim", "int", -1)),
    takes=_every_axis,
    gives=_flattened,
    lacking=_no_such_axis,
)

ROWS: Mapping[str, Entry] = {
    "Linear": _LINEAR,
    "Embedding": _EMBEDDING,
    "EmbeddingBag": _BAG,
    "LayerNorm": _LAYER_NORM,
    "RMSNorm": _RMS_NORM,
    "Dropout": _DROPOUT,
    "Identity": Entry((), linear=True),
    "PReLU": _PRELU,
    "BatchNorm1d": _BATCH_NORM_1D,
    "BatchNorm2d": _batch_norm(2),
    "BatchNorm3d": _batch_norm(3),
    "InstanceNorm2d": _INSTANCE_NORM,
    "Dropout2d": _DROPOUT_2D,
    "GroupNorm": _GROUP_NORM,
    "Flatten": _FLATTEN,
}
