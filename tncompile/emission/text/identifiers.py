"""Identifiers of emitted code: safe, distinct, and the same every time."""

from __future__ import annotations

import heapq
import keyword
import re
from collections.abc import Iterable

from tncompile.network.model import TensorNetwork
from tncompile.network.windows import Window

_MODULE_ATTRIBUTES = """
    T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda double
    dump_patches eval extra_repr float forward get_buffer get_extra_state get_parameter
    get_submodule half ipu load_state_dict modules mtia named_buffers named_children named_modules
    named_parameters parameters register_backward_hook register_buffer register_forward_hook
    register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook
    register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module
    register_parameter register_state_dict_post_hook register_state_dict_pre_hook requires_grad_
    set_extra_state set_submodule share_memory smart_apply state_dict to to_empty train training
    type xpu zero_grad"""
MODULE_ATTRIBUTES = frozenset(_MODULE_ATTRIBUTES.split())
"""What `nn.Module` calls its own attributes: tensors of these names are kept out of their way.

`smart_apply` is what transformers adds to it, and calls on all parts of a model that it loads."""

OWN_ATTRIBUTES = frozenset(
    {"reset_parameters", "fold", "step", "batch_invariant", "unshard", "reshard"}
)
"""Attributes of the emitted class, and those that FSDP2 adds to it."""

_RESERVED = """
    B IndexError Iterator None Tensor TypeError ValueError any bool dict enumerate float getattr int
    isinstance iter lead len list math max min nn object overload positions print property range
    reversed self setattr slice str sum super SupportsIndex torch tuple zip"""
RESERVED = frozenset(_RESERVED.split())
"""What emitted functions use under its own name; `B` and `lead` are given out on request only."""


def identifier(text: str) -> str:
    """A legal identifier that reads like the text and hides nothing that emitted code uses.

    >>> [identifier(text) for text in ("MPO", "G[1]", "x@2,3", "lambda", "torch", "#4")]
    ['MPO', 'G_1', 'x_2_3', 'lambda_', 'torch_', 't_4']
    """
    name = re.sub(r"[^0-9A-Za-z]+", "_", text).strip("_")
    if not name or name[0].isdigit():
        name = f"t_{name}".rstrip("_")
    return f"{name}_" if keyword.iskeyword(name) or name in RESERVED else name


class Names:
    """The identifiers of one function; a released one is given out again."""

    def __init__(self, used: Iterable[str] = ()) -> None:
        self._used = set(used)
        self._next: dict[str, int] = {}
        self._released: dict[str, list[tuple[int, str]]] = {}
        self._origin: dict[str, tuple[str, int]] = {}

    def copy(self) -> Names:
        """The names of a part of the function: what it takes is free again behind it."""
        names = Names(self._used)
        names._next, names._origin = self._next.copy(), self._origin.copy()
        names._released = {stem: waiting.copy() for stem, waiting in self._released.items()}
        return names

    def exactly(self, name: str) -> str:
        """This very name if it is free (also one that `fresh` avoids), else one like it."""
        if name in self._used:
            return self.fresh(name)
        self._used.add(name)
        return name

    def fresh(self, text: str) -> str:
        """An identifier not in use that reads like the text: `t`, `t1`, `t2`."""
        stem = identifier(text)
        waiting = self._released.get(stem)
        if waiting:
            number, name = heapq.heappop(waiting)
        else:
            gap = "_" if stem[-1].isdigit() else ""
            number = self._next.get(stem, 0)
            while (name := f"{stem}{gap}{number}" if number else stem) in self._used:
                number += 1
            self._next[stem] = number + 1
        self._used.add(name)
        self._origin[name] = (stem, number)
        return name

    def release(self, name: str) -> None:
        """Say that nothing refers to the name any more."""
        if name in self._origin:
            stem, number = self._origin.pop(name)
            heapq.heappush(self._released.setdefault(stem, []), (number, name))


def batch_name(network: TensorNetwork) -> str:
    """What the product of all leading axes is called: `B`, unless the spec has its own `B`."""
    used = {tensor.name.split("[")[0] for tensor in network.tensors}
    used |= {parameter.family for parameter in network.parameters}
    used |= {index.family for index in network.indices}
    return next((name for name in ("B", "N", "batch") if name not in used), "B")


def window_lengths(window: Window) -> tuple[str, str]:
    """What the lengths of the input and of the output of a window are called: `h`, `h_out`.

    They are one where they are equal for every input.
    """
    name = identifier(window.name)
    equal = window.output_length(1) == 1 and window.stride == 1
    return name, name if equal else f"{name}_out"


def hidden(name: str) -> bool:
    """Whether a tensor of this name cannot be an ordinary attribute of the module."""
    return keyword.iskeyword(name) or name in MODULE_ATTRIBUTES or name in OWN_ATTRIBUTES
