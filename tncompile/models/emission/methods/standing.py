"""What the class of a model has in common with the layer of torch that it stands for."""

from __future__ import annotations

from collections.abc import Sequence

from tncompile.emission.module.properties import BIAS, without_autocast
from tncompile.emission.text.writer import docstring, function, string_lines
from tncompile.models.emission.access import Access
from tncompile.models.graph.interpolated import Interpolated

DEEPCOPY = ("copy", "deepcopy")

FOLD = '''\
def fold(self) -> nn.Module:
    """The same for inference: a copy that holds buffers alone, under the same keys."""
    folded = deepcopy(self)
    for name, tensor in list(folded._parameters.items()):
        del folded._parameters[name]
        folded.register_buffer(name, None if tensor is None else tensor.detach())
    return folded
'''


def write_sizes(form: Interpolated, taken: Sequence[str]) -> list[str]:
    """The numbers of features, as attributes of the class."""
    sizes = {"in_features": form.inputs, "out_features": form.outputs}
    return [f"{name}: int = {size}" for name, size in sizes.items() if name not in taken]


def write_layer(form: Interpolated, access: Access, taken: Sequence[str]) -> list[list[str]]:
    """`weight`, `bias`, what `print` shows, and `fold`; tensors of these names come first."""
    methods: list[list[str]] = []
    if "weight" not in taken:
        methods.append(_property("weight", _weight(form, access)))
    if "bias" not in taken:
        if form.bias is None:
            lines = ['"""There is none."""', "return None"]
            methods.append(["@property", *function("bias", ["self"], "None", lines)])
        else:
            methods.append(_property("bias", [BIAS, f"return {access.tensor(form.bias)}"]))
    shown = f"in_features={form.inputs}, out_features={form.outputs}, rank={form.rank}"
    (text,) = string_lines(f"{shown}, bias={form.bias is not None}", indent=8)
    methods.append(function("extra_repr", ["self"], "str", [f"return {text}"]))
    return [*methods, FOLD.splitlines()]


def _property(name: str, body: list[str]) -> list[str]:
    return ["@property", *function(name, ["self"], "Tensor", body)]


def _weight(form: Interpolated, access: Access) -> list[str]:
    what = f"The dense map, {form.outputs}x{form.inputs} as in nn.Linear"
    order = access.tensor(form.order)
    lines = [f"t = {access.tensor(form.columns)}"]
    if form.rest is not None:
        lines.append(f"t = torch.cat((t, {access.tensor(form.rest)} @ t))")
    lines.append(f"return torch.zeros_like(t).index_copy(0, {order}, t).mT")
    products = form.rest is not None
    body = without_autocast(lines, order, products)
    return [*docstring([f"{what}: put together whenever it is read."]), *body]
