"""A layer and its arguments, as written, to what it is and what it stores."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tncompile.language.diagnostics.collector import Failed, failure, listed
from tncompile.language.diagnostics.diagnostic import Code
from tncompile.language.diagnostics.spelling import closest, longer_name
from tncompile.language.resolved import LARGEST_SIZE
from tncompile.language.resolving.matching import Slip, matched, missing_texts
from tncompile.language.syntax import tree
from tncompile.language.typing.layers.arguments import conform, place, refused
from tncompile.language.typing.layers.entry import Entry
from tncompile.language.typing.layers.table import ACTIVATIONS, LAYERS
from tncompile.language.typing.model import Layer
from tncompile.language.typing.state import Typed, Typing

_NOT_GIVEN = {
    "device": "the module is moved with `.to(…)`",
    "dtype": "the module is made with a dtype, and moved with `.to(…)`",
}


def make_layer(typing: Typing, name: tree.Name, arguments: Sequence[Typed]) -> Layer:
    """The layer with this name and these arguments.

    TN602 where there is no such layer or argument, or a value is not allowed; TN208 where arguments
    are missing, too many or given twice; TN305, TN501, TN606 and TN607 for single arguments.
    """
    entry = LAYERS.get(name.text)
    if entry is None:
        close = closest(name.text, LAYERS)
        hint = f"did you mean `{close}`?" if close else 'write `extern "torch.nn.…"` for others'
        if function := ACTIVATIONS.get(name.text.lower()):
            hint = f"`{function}` is a function here: `x |> {function}`"
        message, note = f"there is no layer `{name.text}`", f"layers are {listed(LAYERS, most=40)}"
        label = "neither a layer nor a block of this file"
        raise failure(Code.UNKNOWN_LAYER, message, name.span, label, note, hint)
    given = _matched(entry, name, arguments)
    values = {
        argument.name: conform(typing, name.text, argument, given[argument.name], entry.axes)
        for argument in entry.arguments
        if argument.name in given
    }
    settings = entry.settings(values)
    if (first := entry.names.get("batch_first")) and not values.get(first.name):
        message = f"`{name.text}` needs `batch_first = true`"
        note = "torch's default has the steps in front of the batch; models have the batch in front"
        span = place(given[first.name]) if first.name in given else name.span
        hint, label = "add `batch_first = true`", "the default of torch is not used"
        raise failure(Code.UNKNOWN_LAYER, message, span, label, note, hint)
    if complaint := entry.wrong(settings):
        raise refused(name.text, given[complaint.argument], complaint.message, complaint.hint)
    layer = Layer(name.text, values, entry.parameters(settings), entry.buffers(settings))
    shapes = [*layer.parameters.values(), *layer.buffers.values()]
    if (entries := sum(map(math.prod, shapes))) > LARGEST_SIZE:
        message, label = f"`{name.text}` has {entries:,} parameters", "more than 2**40"
        note, hint = "a tensor has at most 2**40 entries", "make its arguments smaller"
        raise failure(Code.TOO_MANY, message, name.span, label, note, hint)
    return layer


_HINTS = {
    "unnamed": "name this argument, too",
    "surplus": "remove it",
    "repeated": "remove one of the two",
}


def _matched(entry: Entry, name: tree.Name, arguments: Sequence[Typed]) -> dict[str, Typed]:
    """The arguments by their names, in the order written."""
    given: dict[str, Typed] = {}

    def wrong(slip: Slip[Typed]) -> None:
        if slip.kind == "unknown" and slip.argument.name is not None:
            raise _unknown(entry, name, slip.argument.name, {*given})
        note, hint, span = _takes(entry, name), _HINTS[slip.kind], place(slip.argument)
        raise failure(Code.WRONG_ARGUMENT, slip.message, span, slip.label, note, hint)

    order = [each.name for each in entry.arguments]
    for key, argument in matched(name.text, arguments, order, entry.names, wrong):
        assert key is not None
        given[key] = argument
    missing = [each.name for each in entry.arguments if each.needed and each.name not in given]
    if missing:
        message, label = missing_texts(name.text, missing)
        hint = f"add `{', '.join(f'{each} = …' for each in missing)}`"
        note = "an argument without a default has to be given"
        raise failure(Code.WRONG_ARGUMENT, message, name.span, label, note, hint)
    return given


def _unknown(entry: Entry, name: tree.Name, argument: tree.Name, given: set[str]) -> Failed:
    text = argument.text
    if text in _NOT_GIVEN:
        message, hint = f"`{text}` of `{name.text}` is not given here", "remove it"
        note = _NOT_GIVEN[text]
        return failure(Code.UNKNOWN_LAYER, message, argument.span, "not here", note, hint)
    names = [each for each in entry.names if each not in given]
    close = closest(text, names) or longer_name(text, names)
    hint = f"did you mean `{close}`?" if close else "remove it"
    message, note = f"`{name.text}` has no argument `{text}`", _takes(entry, name)
    label = "unknown argument"
    return failure(Code.UNKNOWN_LAYER, message, argument.span, label, note, hint)


def _takes(entry: Entry, name: tree.Name) -> str:
    takes = listed(entry.names, most=20) if entry.arguments else "no arguments"
    return f"`{name.text}` takes {takes}"
