"""Functions at the head of a module that expressions call, by name."""

from __future__ import annotations

from collections.abc import Mapping

from tncompile.emission.module.ids import CHECKED_IDS
from tncompile.models.emission.expressions.text import Context, Text, call

HELPERS: Mapping[str, str] = {
    "_attention": '''\
def _attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """`F.scaled_dot_product_attention` of four axes, for which torch is fast, on any number."""
    lead = q.shape[:-3]
    if q.dim() > 2:
        q, k, v = (x.reshape(math.prod(lead), *x.shape[-3:]) for x in (q, k, v))
        if attn_mask is not None and attn_mask.dim() > 3:
            attn_mask = attn_mask.expand(*lead, *attn_mask.shape[-3:]).flatten(0, -4)
        elif attn_mask is not None and attn_mask.dim() == 3:
            attn_mask = attn_mask.unsqueeze(0)
    y = F.scaled_dot_product_attention(
        q, k, v, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
    )
    return y.reshape(*lead, *y.shape[-3:])
''',
    "_causal": '''\
def _causal(
    queries: int, keys: int, reach: int | None = None, device: torch.device | None = None
) -> Tensor:
    """Which keys each query may look at: the last query at all, or at the last `reach`."""
    key = torch.arange(keys, device=device)
    own = torch.arange(keys - queries, keys, device=device).unsqueeze(-1)
    return key <= own if reach is None else (key <= own) & (key > own - reach)
''',
    "_checked_ids": CHECKED_IDS,
    "_interpolated": '''\
def _interpolated(
    x: Tensor,
    axes: int,
    size: int | tuple[int, ...] | None = None,
    scale_factor: float | tuple[float, ...] | None = None,
    mode: str = "nearest",
) -> Tensor:
    """`F.interpolate` of the last axes, behind any number of others."""
    flat = x if x.dim() == axes + 2 else x.reshape(-1, 1, *x.shape[-axes:])
    y = F.interpolate(flat, size=size, scale_factor=scale_factor, mode=mode)
    return y if flat is x else y.reshape(*x.shape[:-axes], *y.shape[2:])
''',
    "_linspace": '''\
def _linspace(
    start: float, end: float, n: int, dtype: torch.dtype, device: torch.device | None = None
) -> Tensor:
    """`torch.linspace`, whose number of steps may be known at run time alone."""
    steps = torch.arange(n, dtype=dtype, device=device)
    return start + steps * (end - start) / max(n - 1, 1)
''',
    "_onehot": '''\
def _onehot(ids: Tensor, n: int, dtype: torch.dtype) -> Tensor:
    """`F.one_hot`, whose number of classes may be known at run time alone."""
    classes = torch.arange(n, device=ids.device)
    return (_places(ids, n, "onehot").unsqueeze(-1) == classes).to(dtype)
''',
    "_padded": '''\
def _padded(x: Tensor, left: int, right: int, dim: int, mode: str) -> Tensor:
    """`F.pad` of one axis, between any number of others."""
    x = x.transpose(dim, -1)
    y = F.pad(x.reshape(-1, 1, x.shape[-1]), (left, right), mode=mode)
    return y.reshape(*x.shape[:-1], y.shape[-1]).transpose(dim, -1)
''',
    "_look_back": '''\
def _look_back(queries: int, k: Tensor, reach: int | None = None) -> dict[str, Any]:
    """The options of attention whose queries belong to the last keys: none looks ahead."""
    keys = k.shape[-2]
    if queries == 1:
        return {}
    if queries == keys and reach is None:
        return {"is_causal": True}
    return {"attn_mask": _causal(queries, keys, reach, k.device)}
''',
    "_places": '''\
def _places(ids: Tensor, n: int, function: str) -> Tensor:
    """The ids; an IndexError where one is not in [0, n), which may be known at run time alone."""
    if not torch.compiler.is_compiling():
        return _checked_ids(ids, n, function)
    torch._assert_async(((ids >= 0) & (ids < n)).all(), f"{function}: an id is out of range")
    return ids
''',
    "_relative": '''\
def _relative(scores: Tensor, queries: int, keys: int) -> Tensor:
    """The scores for each query and key, by the distance back; the last one for all beyond."""
    own = torch.arange(keys - queries, keys, device=scores.device).unsqueeze(-1)
    distance = own - torch.arange(keys, device=scores.device)
    return scores[..., distance.clamp(0, scores.shape[-1] - 1)]
''',
    "_scatter_sum": '''\
def _scatter_sum(x: Tensor, to: Tensor, size: int) -> Tensor:
    """For each place the sum of the entries of `x` that go there."""
    return x.new_zeros(size, *x.shape[1:]).index_add(0, to, x)
''',
    "_segment_sum": '''\
def _segment_sum(x: Tensor, offsets: Tensor) -> Tensor:
    """For each segment of `x` its sum; `offsets` says where they begin."""
    if not (torch.compiler.is_compiling() or offsets.is_meta or _under_vmap(offsets)):
        ends = F.pad(offsets, (0, 1), value=x.shape[0])
        if offsets[:1].any() or (ends.diff() < 0).any():
            raise IndexError(f"segment_sum: offsets must ascend from 0 to at most {x.shape[0]}")
    row = torch.arange(x.shape[0], device=x.device)
    segment = torch.searchsorted(offsets, row, right=True) - 1
    return x.new_zeros(offsets.shape[0], *x.shape[1:]).index_add(0, segment, x)
''',
    "_silu": '''\
def _silu(x: Tensor) -> Tensor:
    """`F.silu` of complex numbers."""
    return x * x.sigmoid()
''',
    "_take": '''\
def _take(table: Tensor, ids: Tensor) -> Tensor:
    """The entries of a table at the ids; none is counted from the end."""
    return table[_places(ids, table.shape[0], "take")]
''',
}
"""The source of each."""

_NEEDS: Mapping[str, tuple[str, ...]] = {
    "_attention": ("F", "math"),
    "_interpolated": ("F",),
    "_look_back": ("_causal",),
    "_onehot": ("_places",),
    "_padded": ("F",),
    "_places": ("_checked_ids",),
    "_segment_sum": ("F", "_checked_ids"),
    "_take": ("_places",),
}


def helped(context: Context, name: str, *arguments: object) -> Text:
    """A call of a helper, which is asked for behind those that it calls."""
    _ask(context, name)
    return call(name, *arguments)


def _ask(context: Context, name: str) -> None:
    for other in _NEEDS.get(name, ()):
        _ask(context, other)
    context.use(name)
