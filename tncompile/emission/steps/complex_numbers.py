"""What emitted files with complex tensors have of their own: dtypes, products with real ones."""

from __future__ import annotations

COMPLEX = '''\
_COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}


def _complex(dtype: torch.dtype | None) -> torch.dtype:
    """The dtype of complex tensors in a module of this dtype."""
    dtype = torch.get_default_dtype() if dtype is None else dtype
    if dtype in _COMPLEX.values():
        return dtype
    if dtype not in _COMPLEX:
        raise TypeError(f"complex tensors take a module of float32 or float64, not of {dtype}")
    return _COMPLEX[dtype]
'''

ON_PARTS = '''\
def _on_parts(change: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A change of device or dtype that takes a complex tensor as its real and imaginary parts.

    By itself `Module.to(torch.float64)` drops imaginary parts, and `Module.double()` skips them.
    """
    _complex(change(torch.empty(0, dtype=torch.float32)).dtype)  # half precision is an error

    def changed(tensor: Tensor) -> Tensor:
        if not tensor.is_complex():
            return change(tensor)
        # Memory formats are for four and five axes; here are more.
        before = torch.view_as_real(tensor.resolve_conj())[(None,) * 5]
        parts = change(before)
        if parts is before:
            return tensor
        if parts.is_complex():
            return change(tensor)
        return torch.view_as_complex(parts[(0,) * 5])

    return changed
'''

PRODUCT = '''\
def _product(left: Tensor, right: Tensor, parts: bool = False) -> Tensor:
    """The product of matrices of which one may be real and the other complex.

    No complex arithmetic is spent on a real `left`, nor on a real `right` with `parts`.
    """
    if left.is_complex() == right.is_complex():
        return left @ right
    kind = left.device.type
    if kind != "meta" and torch.is_autocast_enabled(kind):
        with torch.autocast(kind, enabled=False):
            return _product(left, right, parts)
    if right.is_complex():
        pairs = torch.view_as_real(right.resolve_conj()).flatten(-2)
        return torch.view_as_complex(torch.unflatten(left.to(pairs.dtype) @ pairs, -1, (-1, 2)))
    if parts:
        right = right.to(left.real.dtype)
        return torch.complex(left.real @ right, left.imag @ right)
    return left @ right.to(left.dtype)
'''

BY_PARTS = '''\
def _by_parts(
    call: Callable[..., Tensor], left: Tensor, right: Tensor, **options: int | tuple[int, ...]
) -> Tensor:
    """`call(left, right)`, linear in both, of which one may be real and the other complex."""
    if left.is_complex() == right.is_complex():
        return call(left, right, **options)
    kind = left.device.type
    if kind != "meta" and torch.is_autocast_enabled(kind):
        with torch.autocast(kind, enabled=False):
            return _by_parts(call, left, right, **options)
    if right.is_complex():
        left = left.to(right.real.dtype)
        parts = call(left, right.real, **options), call(left, right.imag, **options)
    else:
        right = right.to(left.real.dtype)
        parts = call(left.real, right, **options), call(left.imag, right, **options)
    return torch.complex(*parts)
'''

PARENT = "parent: Any = super()  # torch gives its method no types"
"""`super()` for what a class does beside it in `_apply`."""

APPLY = f"""\
def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
    {PARENT}
    parent._apply(_on_parts(fn), recurse)
    return self
"""
