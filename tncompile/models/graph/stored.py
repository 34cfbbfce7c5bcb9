"""The networks of a model by where their tensors are in the state dict, and what is tied."""

from __future__ import annotations

from collections.abc import Iterator

from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.typing.model import ResolvedModel
from tncompile.network.packing import is_large


def networks_by_path(model: ResolvedModel) -> Iterator[tuple[str, ResolvedNetwork]]:
    """Each network under the path of its part; a part that was handed on has another owner."""
    found: dict[str, ResolvedNetwork] = {}
    for part in model.parts:
        if part.outer:
            continue
        if isinstance(part.callee, ResolvedNetwork):
            found[part.path] = part.callee
        elif isinstance(part.callee, ResolvedModel):
            inner = networks_by_path(part.callee)
            found |= {f"{part.path}.{path}": network for path, network in inner}
    yield from found.items()


def tied_tensor(model: ResolvedModel) -> str | None:
    """The key of a large tensor of a network that is tied to another, if there is one."""
    large = {
        f"{path}.{parameter.key}"
        for path, network in networks_by_path(model)
        for parameter in network.parameters
        if is_large(parameter.shape, parameter.complex)
    }
    return next((key for key in _tied(model) if key in large), None)


def _tied(model: ResolvedModel) -> Iterator[str]:
    """Both keys of every tie, of parts of parts, too."""
    for key, origin in model.tied.items():
        yield from (key, origin)
    for part in model.parts:
        if part.outer:
            continue
        for key, origin in part.tied.items():
            yield from (f"{part.path}.{key}", origin)
        if isinstance(part.callee, ResolvedModel):
            yield from (f"{part.path}.{key}" for key in _tied(part.callee))
