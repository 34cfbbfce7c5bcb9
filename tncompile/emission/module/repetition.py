"""`forward` of a table in eager mode: ids that are equal are contracted once, where that pays."""

from __future__ import annotations

from tncompile.emission.module.arguments import Arguments
from tncompile.emission.module.dispatch import Dispatch
from tncompile.emission.text import writer
from tncompile.emission.text.identifiers import Names
from tncompile.emission.text.writer import indented
from tncompile.network.features import id_sizes
from tncompile.network.model import TensorNetwork

DISTINCT = '''\
def _distinct(ids: Tensor, share: float) -> tuple[Tensor, Tensor] | None:
    """The ids that differ, and where each one is among them; None if they are more than `share`.

    Their number is a number of the host: compilers, `vmap` and devices have no such shapes.
    """
    if not ids.is_cpu or torch.jit.is_tracing() or _under_vmap(ids):
        return None
    distinct, places = torch.unique(ids, return_inverse=True)
    return (distinct, places) if len(distinct) <= share * len(ids) else None
'''


def write_repeats(
    network: TensorNetwork, chosen: Dispatch, arguments: Arguments, by_mode: list[str]
) -> tuple[list[str], list[str]]:
    """The rest of `forward` where nothing is compiled, and the method that it calls.

    That method has the lines `by_mode`, which choose by the number of positions.
    """
    ids = [arguments.expressions[source.name] for source in network.inputs]
    lead, size = f"{arguments.lead}", chosen.size
    names = Names(["self", *ids, lead, size])
    repeated, rows, places = map(names.fresh, ("repeated", "rows", "places"))
    number = ids[0]
    lines: list[str] = []
    if len(ids) > 1:
        number = names.fresh("number")
        classes = id_sizes(network)[1:]
        lines += [f"{number} = {ids[0]}"]
        lines += [f"{number} = {number} * {n} + {x}" for x, n in zip(ids[1:], classes, strict=True)]
    lines.append(f"{repeated} = None")
    for each in chosen.repeats:
        mode = "torch.is_grad_enabled()" if each.training else "not torch.is_grad_enabled()"
        end = "" if each.up_to is None else f" <= {each.up_to}"
        sizes = f"{each.above} < {size}{end}" if end else f"{size} > {each.above}"
        lines += writer.statement(f"if {mode} and {sizes}:", each.reason)
        lines += indented([f"{repeated} = _distinct({number}, {each.share})"])
    every = ", ".join([*ids, lead, size])
    lines.append(f"if {repeated} is None:")
    lines += indented([f"return self._by_size({every})"])
    lines += [f"{number}, {places} = {repeated}"]
    if len(ids) > 1:
        for x, n in reversed([*zip(ids[1:], classes, strict=True)]):
            lines += [f"{x} = {number} % {n}", f"{number} = {number} // {n}"]
        lines += [f"{ids[0]} = {number}"]
    once = ", ".join([*ids, f"{ids[0]}.shape", f"len({ids[0]})"])
    lines += [f"{rows} = self._by_size({once})"]
    lines += [f"return {rows}.index_select(0, {places}).reshape(*{lead}, *{rows}.shape[1:])"]
    signature = ["self", *(f"{x}: Tensor" for x in ids), f"{lead}: tuple[int, ...]", f"{size}: int"]
    text = writer.docstring([f"The rows of `{size}` positions, as the mode and their number say."])
    return lines, writer.function("_by_size", signature, "Tensor", [*text, *by_mode])
