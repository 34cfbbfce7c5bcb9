"""Keys that attributes do not give: of tensors that are others, of names that are taken."""

from __future__ import annotations

from tncompile.emission.text.writer import call, function, string
from tncompile.language.typing.model import ResolvedModel
from tncompile.models.emission.access import OF_GRAPHS, Access

TIED = '''\
class _Tied(nn.Module):
    """A module that has some tensors under several names: one key for each, the origin's.

    `_tied` has the keys that tensors of its parts would have, and those of the tensors that they
    are; `_once` those of its own tensors, which it has once.
    """

    _tied: ClassVar[dict[str, str]] = {}
    _once: ClassVar[dict[str, str]] = {}

    def _tie(self) -> None:
        """Tie the tensors of the module, then those of its parts, which may have got others."""
        for module in self.modules():
            if not isinstance(module, _Tied):
                continue
            for key, origin in module._tied.items():
                (holder, name), (owner, own) = module._held(key), module._held(origin)
                if own in owner._parameters:
                    holder._parameters[name] = owner._parameters[own]
                else:
                    holder._parameters.pop(name, None)
                    holder._buffers[name] = owner._buffers[own]

    def _held(self, key: str) -> tuple[nn.Module, str]:
        """What holds the tensor of a key, and its name there."""
        module: Any = self
        *path, name = key.split(".")
        for part in path:
            module = module._modules[getattr(module, "_renamed", {}).get(part, part)]
        return module, name

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        parent: Any = super()  # torch gives its method no types
        parent._apply(fn, recurse)
        self._tie()
        return self

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        state = super().state_dict(*args, **kwargs)
        for key in self._tied:
            state.pop(kwargs.get("prefix", "") + key, None)
        return state

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: dict[str, Any], *args: Any
    ) -> None:
        """Load tied tensors from their origins. Torch lists both: the second must be equal."""
        assign = local_metadata.get("assign_to_params_buffers", False)
        for key, origin in (self._tied | self._once).items():
            second, first = state_dict.get(prefix + key), state_dict.get(prefix + origin)
            owner, name = self._held(origin)
            own = owner._parameters.get(name, owner._buffers.get(name))
            if first is None:
                first = own  # that its key is missing is reported at its own part
            elif second is not None and second is not first and not _is_equal(first, second):
                reason = f"{prefix}{key} is {prefix}{origin} in this module, and they differ here."
                args[-1].append(reason)
            elif assign and isinstance(own, nn.Parameter) and not isinstance(first, nn.Parameter):
                first = state_dict[prefix + origin] = nn.Parameter(first, own.requires_grad)
            state_dict[prefix + key] = first
        for key in self._once:
            del state_dict[prefix + key]
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


def _is_equal(first: Tensor, second: Tensor) -> bool:
    if first.is_meta or second.is_meta:
        return first.shape == second.shape
    return torch.equal(first, second.to(first))
'''


RENAMED = '''\
class _Renamed(nn.Module):
    """A module with parts under attributes that differ from their keys.

    `_renamed` has the attributes by key: the names are those of methods, or of what exported
    modules have.
    """

    _renamed: ClassVar[dict[str, str]] = {}

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        state = super().state_dict(*args, **kwargs)
        for key, attribute in self._renamed.items():
            _rename(state, kwargs.get("prefix", ""), attribute, key)
        return state

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """Under their keys; with duplicates, as `torch.export` asks, under attributes."""
        keys = {attribute: key for key, attribute in self._renamed.items()}
        own = keys if remove_duplicate else {}
        for name, parameter in super().named_parameters("", recurse, remove_duplicate):
            first, dot, rest = name.partition(".")
            yield f"{prefix}{'.' if prefix else ''}{own.get(first, first)}{dot}{rest}", parameter

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        for key, attribute in self._renamed.items():
            _rename(state_dict, prefix, key, attribute)
        super()._load_from_state_dict(state_dict, prefix, *args)


def _rename(state: Any, prefix: str, old: str, new: str) -> None:
    """Rename the keys of a part, and leave their order."""
    for key in list(state):
        renamed = key.startswith(f"{prefix}{old}.")
        value = state.pop(key)
        state[f"{prefix}{new}.{key[len(prefix) + len(old) + 1 :]}" if renamed else key] = value
'''


def tied_keys(model: ResolvedModel) -> dict[str, str]:
    """Keys of tensors that are others, and the keys of those."""
    keys: dict[str, str] = {}
    for part in model.parts:
        if not part.outer:
            keys |= {f"{part.path}.{key}": origin for key, origin in part.tied.items()}
    return keys


def write_aliases(access: Access) -> list[list[str]]:
    """Parts under their own names where only exported modules must not have them."""
    return [
        ["@property", *function(name, ["self"], "nn.Module", [f"return self.{attribute}"])]
        for name, attribute in access.renamed.items()
        if name in OF_GRAPHS
    ]


def write_renamed(access: Access) -> list[str]:
    """The attribute that says which attributes have other keys."""
    items = [f"{string(key)}: {string(name)}" for key, name in access.renamed.items()]
    return call("_renamed: ClassVar[dict[str, str]] = {", items, "}", indent=4) if items else []


def write_tied(model: ResolvedModel) -> list[str]:
    """The attributes that say which tensors are others: of parts, and of the model itself."""
    lines: list[str] = []
    for name, keys in (("_tied", tied_keys(model)), ("_once", model.tied)):
        items = [f"{string(key)}: {string(origin)}" for key, origin in keys.items()]
        lines += (
            call(f"{name}: ClassVar[dict[str, str]] = {{", items, "}", indent=4) if items else []
        )
    return lines
