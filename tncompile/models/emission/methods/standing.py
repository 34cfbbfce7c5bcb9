"""What the class of a model has in common with the layer of torch that it stands for."""

from __future__ import annotations

from collections.abc import Sequence

from tncompile.emission.module.properties import BIAS, without_autocast
from tncompile.emission.text.writer import docstring, function, indented, string_lines
from tncompile.models.emission.access import Access
from tncompile.models.graph.forms import Form
from tncompile.models.graph.interpolated import Interpolated
from tncompile.models.graph.mixed import Mixed

DEEPCOPY = ("copy", "deepcopy")

FOLD = '''\
def fold(self) -> nn.Module:
    """The same for inference: a copy that holds buffers alone, under the same keys."""
    folded = deepcopy(self)
    for module in folded.modules():  # lists of parameters, too
        for name, tensor in list(module._parameters.items()):
            del module._parameters[name]
            module.register_buffer(name, None if tensor is None else tensor.detach())
    return folded
'''


def write_sizes(form: Form, taken: Sequence[str]) -> list[str]:
    """The sizes that the layer has as attributes, in the class."""
    return [f"{name}: int = {size}" for name, size in _sizes(form).items() if name not in taken]


def _sizes(form: Form) -> dict[str, int]:
    if isinstance(form, Mixed):
        return {"num_embeddings": form.words, "embedding_dim": form.features}
    return {"in_features": form.inputs, "out_features": form.outputs}


def write_layer(form: Form, access: Access, taken: Sequence[str]) -> list[list[str]]:
    """`weight`, `bias`, what `print` shows, and `fold`; tensors of these names come first."""
    methods: list[list[str]] = []
    if "weight" not in taken:
        body = _table(form, access) if isinstance(form, Mixed) else _weight(form, access)
        methods.append(_property("weight", body))
    shown = [f"{name}={size}" for name, size in _sizes(form).items()]
    if isinstance(form, Mixed):
        shown += [f"counts={list(form.counts)}", f"ranks={list(form.ranks)}"]
    else:
        shown += [f"rank={form.rank}", f"bias={form.bias is not None}"]
        if "bias" not in taken:
            methods.append(_bias(form, access))
    text = string_lines(", ".join(shown), indent=8 + len("return "))
    lines = [f"return {text[0]}"]
    if len(text) > 1:
        lines = ["return (", *indented(text), ")"]
    methods.append(function("extra_repr", ["self"], "str", lines))
    return [*methods, FOLD.splitlines()]


def _bias(form: Interpolated, access: Access) -> list[str]:
    if form.bias is None:
        lines = ['"""There is none."""', "return None"]
        return ["@property", *function("bias", ["self"], "None", lines)]
    return _property("bias", [BIAS, f"return {access.tensor(form.bias)}"])


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


def _table(form: Mixed, access: Access) -> list[str]:
    what = f"The dense table, {form.words}x{form.features} as in nn.Embedding"
    lines = [f"t = [{access.tensor(form.base)}]"]
    for tensor, count in zip(form.more, form.counts, strict=True):
        left = form.words - count - 1
        rows = access.tensor(tensor)
        lines += [f"rows = {rows}", f"t.append(torch.cat((rows, rows[-1:].expand({left}, -1))))"]
    places, basis = access.tensor(form.places), access.tensor(form.basis)
    lines.append(f"return torch.cat(t, 1).index_select(0, {places}) @ {basis}")
    body = without_autocast(lines, places, True)
    return [*docstring([f"{what}: put together whenever it is read."]), *body]
