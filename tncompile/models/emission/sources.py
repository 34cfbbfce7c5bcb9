"""Functions that emitted models have beside their classes, by name."""

from __future__ import annotations

from collections.abc import Mapping

from tncompile.emission.steps.complex_numbers import COMPLEX, ON_PARTS
from tncompile.models.emission.construction.ties import RENAMED, TIED
from tncompile.models.emission.loops.sources import CALLED, HOOKED, ONE_LOOP, SCAN

_MERGED = '''\
def _merged(layer: nn.Module, x: Tensor, axes: int) -> Tensor:
    """A layer of one batch axis on any number of them, in front of the last `axes`."""
    if x.dim() == axes + 1:
        y: Tensor = layer(x)
    elif x.dim() == axes:
        y = layer(x.unsqueeze(0)).squeeze(0)
    else:
        y = torch.unflatten(layer(x.flatten(0, -axes - 1)), 0, x.shape[:-axes])
    return y
'''

_LINEAR = '''\
def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """A layer of real numbers on complex ones."""
    if layer.weight.is_complex():
        y: Tensor = layer(x)
        return y
    return torch.complex(layer(x.real), F.linear(x.imag, layer.weight))
'''

_MULTILINEAR = '''\
def _multilinear(network: nn.Module, *inputs: Tensor | int) -> Tensor:
    """A network of real numbers on complex ones: it is affine in each of its inputs."""
    for k, x in enumerate(inputs):
        if isinstance(x, Tensor) and x.is_complex():
            before, behind = inputs[:k], inputs[k + 1 :]
            real = _multilinear(network, *before, x.real.contiguous(), *behind)
            zero = _multilinear(network, *before, torch.zeros_like(x.real), *behind)
            imag = _multilinear(network, *before, x.imag.contiguous(), *behind) - zero
            return real + 1j * imag
    return network(*inputs)
'''

_GIVEN = '''\
def _given(part: str, y: Tensor, shape: tuple[int, ...], kind: str) -> Tensor:
    """What a part from elsewhere returned, if it is what is declared; else a ValueError."""
    if torch.compiler.is_compiling():
        return y
    if not isinstance(y, Tensor):
        raise ValueError(f"{part}: expected a tensor, got {type(y).__name__}")
    if y.shape != shape or _kind(y) != kind:
        got = f"{_kind(y)} of shape {tuple(y.shape)}"
        raise ValueError(f"{part}: expected {kind} of shape {tuple(shape)}, got {got}")
    return y
'''

_NUMBER = '''\
def _number(module: Any, key: str, buffer: str) -> Tensor | int:
    """A number that the constructor was given; for compilers the tensor that holds it.

    So modules that differ in a number are compiled once.
    """
    compiling = torch.compiler.is_compiling()
    number: Tensor | int = getattr(module, buffer) if compiling else module._numbers[key]
    return number
'''

_KIND = '''\
def _kind(t: Tensor) -> str:
    """What the entries of a tensor are."""
    if t.is_floating_point():
        return "float"
    if t.is_complex():
        return "complex"
    return "bool" if t.dtype is torch.bool else "int"
'''

_WRONG = '''\
def _wrong(declared: str, x: Tensor, kind: str) -> Exception:
    """What to raise for an argument that is not what is declared."""
    if _kind(x) != kind:
        return TypeError(f"{declared}: expected {kind}, got {x.dtype}")
    return ValueError(f"{declared}: got shape {tuple(x.shape)}")
'''

_INTS = """\
_INTS = (torch.int64, torch.int32)
"""

_FLOATS = """\
_FLOATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
"""

HELPERS: Mapping[str, str] = {
    "_INTS": _INTS,
    "_FLOATS": _FLOATS,
    "_kind": _KIND,
    "_wrong": _WRONG,
    "_given": _GIVEN,
    "_one_loop": ONE_LOOP,
    "_scan": SCAN,
    "_hooked": HOOKED,
    "_called": CALLED,
    "_merged": _MERGED,
    "_linear": _LINEAR,
    "_multilinear": _MULTILINEAR,
    "_number": _NUMBER,
    "_complex": COMPLEX,
    "_on_parts": ON_PARTS,
    "_Tied": TIED,
    "_Renamed": RENAMED,
}
"""Each calls those before it alone."""
