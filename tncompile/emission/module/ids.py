"""Ids in emitted modules: how they are checked, and that those without axes may be numbers."""

from __future__ import annotations

from tncompile.network.model import TensorNetwork

CHECKED_IDS = '''\
def _under_vmap(ids: Tensor) -> bool:
    """Whether `vmap` hides the values of a tensor."""
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(ids):
        if functorch.is_batchedtensor(ids):
            return True
        ids = functorch.get_unwrapped(ids)
    return False


def _checked_ids(ids: Tensor, classes: int, leg: str) -> Tensor:
    """The ids as int64; an IndexError names the leg where one is not in [0, classes)."""
    if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise TypeError(f"{leg}: ids must be integers, got {ids.dtype}")
    if torch.compiler.is_compiling():
        inside = ((ids >= 0) & (ids < classes)).all()
        torch._assert_async(inside, f"{leg}: ids must be in [0, {classes})")
    elif ids.numel() and not ids.is_meta and not _under_vmap(ids):
        low, high = (int(end) for end in ids.aminmax())
        if low < 0 or high >= classes:
            wrong = low if low < 0 else high
            raise IndexError(f"{leg}: ids must be in [0, {classes}), got {wrong}")
    return ids.long()
'''

CHECKED_ID = '''\
def _checked_id(number: Tensor | int, classes: int, leg: str) -> Tensor | int:
    """An id without axes; an IndexError names the leg where it is not in [0, classes)."""
    if isinstance(number, Tensor):
        return _checked_ids(number, classes, leg)
    if not 0 <= number < classes:
        raise IndexError(f"{leg}: ids must be in [0, {classes}), got {number}")
    return number
'''

ROW = '''\
def _row(table: Tensor, row: Tensor | int) -> Tensor:
    """One row of a table: a view by a number, a copy by an id in a tensor."""
    if isinstance(row, Tensor):  # indexing by it would compile its value in
        return table.index_select(0, row.reshape(1)).squeeze(0)
    return table.select(0, row)
'''

SINGLE = "Tensor | int"
"""The type of ids without axes."""


def single_ids(network: TensorNetwork) -> frozenset[str]:
    """The inputs of ids without axes: each picks one entry of every table."""
    return frozenset(
        source.name
        for source in network.inputs
        if [axis.kind for axis in source.axes] == ["onehot"]
    )
