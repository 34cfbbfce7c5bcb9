"""Tensors that are tensors of another part: how a class shares them and keeps one key for each."""

from __future__ import annotations

from tncompile.emission.text import writer
from tncompile.emission.text.writer import string
from tncompile.language.typing.model import Part, ResolvedModel

TIE = '''\
def _holder(module: nn.Module, key: str) -> tuple[nn.Module, str]:
    """What holds the tensor of a key, and its name there."""
    *path, name = key.split(".")
    for part in path:
        inner = module._modules[part]
        assert inner is not None
        module = inner
    return module, name


def _tie(module: nn.Module, tied: dict[str, str]) -> None:
    """Let each tensor of a part be the one whose key stands beside its own."""
    for key, origin in tied.items():
        (holder, name), (owner, own) = _holder(module, key), _holder(module, origin)
        if own in owner._parameters:
            holder._parameters[name] = owner._parameters[own]
        else:
            holder._buffers[name] = owner._buffers[own]
'''

LOAD = '''\
def _load_tied(
    module: nn.Module,
    tied: dict[str, str],
    state: dict[str, Any],
    prefix: str,
    assign: bool,
    errors: list[str],
) -> None:
    """Give every tied tensor what the state dict has for the one that it is.

    Torch lists such a tensor under both keys: the second is taken if it is equal.
    """
    for key, origin in tied.items():
        second, first = state.pop(prefix + key, None), state.get(prefix + origin)
        holder, name = _holder(module, origin)
        own = holder._parameters.get(name, holder._buffers.get(name))
        if first is None:
            first = own  # the key that is missing is reported by its owner
        elif second is not None and second is not first and not _equal(first, second):
            errors.append(f"{prefix}{key} is the tensor {prefix}{origin}, and they differ.")
        if assign and isinstance(own, nn.Parameter) and not isinstance(first, nn.Parameter):
            first = state[prefix + origin] = nn.Parameter(first, own.requires_grad)
        state[prefix + key] = first


def _equal(first: Any, second: Any) -> bool:
    """Whether two entries of a state dict are equal, as far as they have values."""
    if not isinstance(first, Tensor) or not isinstance(second, Tensor):
        return first is second
    if first.shape != second.shape or first.is_meta or second.is_meta:
        return first.shape == second.shape
    return torch.equal(first, second.to(first))
'''

METHODS = '''\
def state_dict(self, *args: Any, **kwargs: Any) -> Any:
    """As of any module, with one key for each tensor."""
    state = super().state_dict(*args, **kwargs)
    for key in self._tied:
        state.pop(kwargs.get("prefix", "") + key, None)
    return state

def _load_from_state_dict(
    self,
    state_dict: dict[str, Any],
    prefix: str,
    local_metadata: dict[str, Any],
    strict: bool,
    missing_keys: list[str],
    unexpected_keys: list[str],
    error_msgs: list[str],
) -> None:
    assign = local_metadata.get("assign_to_params_buffers", False)
    _load_tied(self, self._tied, state_dict, prefix, assign, error_msgs)
    super()._load_from_state_dict(
        state_dict,
        prefix,
        local_metadata,
        strict,
        missing_keys,
        unexpected_keys,
        error_msgs,
    )
'''


def tied_keys(model: ResolvedModel) -> dict[str, str]:
    """Keys of tensors that are others, and the keys of those."""
    keys: dict[str, str] = {}
    for part in model.parts:
        for key in part.tied if part.tie is not None and not part.outer else ():
            keys[f"{part.path}.{key}"] = _origin(part, key)
    return keys


def _origin(part: Part, key: str) -> str:
    while part.tie is not None and key in part.tied:
        part = part.tie
    return f"{part.path}.{key}"


def write_tied(model: ResolvedModel) -> list[str]:
    """The attribute that says which tensors are others."""
    keys = tied_keys(model)
    items = [f"{string(key)}: {string(origin)}" for key, origin in keys.items()]
    return writer.call("_tied: dict[str, str] = {", items, "}", indent=4) if items else []


def write_methods(model: ResolvedModel) -> list[list[str]]:
    """The methods that keep one key for each tensor."""
    if not tied_keys(model):
        return []
    first, _, second = METHODS.partition("\n\n")
    return [first.splitlines(), second.splitlines()]


def statement(model: ResolvedModel) -> list[str]:
    """The statement that ties, where there is something to tie."""
    return ["_tie(self, self._tied)"] * bool(tied_keys(model))
