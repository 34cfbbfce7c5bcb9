"""`step` of the class of a model, or `_step` of one that others call."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from tncompile.emission.module.forward import without_unused
from tncompile.emission.text import writer
from tncompile.emission.text.identifiers import Names
from tncompile.emission.text.writer import indented
from tncompile.language.typing.model import ResolvedModel
from tncompile.language.typing.sizes import Size
from tncompile.models.contracting import SumOfProducts
from tncompile.models.emission.access import Access, parameter_name
from tncompile.models.emission.expressions import Text
from tncompile.models.emission.methods.arguments import (
    SizeNames,
    argument_names,
    write_checks,
    write_requirements,
)
from tncompile.models.emission.methods.forward import (
    Forward,
    like,
    returned,
    type_of,
    write_body,
    write_lines,
    write_result,
)
from tncompile.models.emission.methods.scope import Scope
from tncompile.models.emission.stepping import rewriting
from tncompile.models.emission.stepping.rewriting import Stepped
from tncompile.models.emission.stepping.texts import PAST
from tncompile.planning.paths.problem import Path

STATE = "tuple[Tensor, ...]"
START, SEEN = "start", "seen"

_ROOM = writer.WIDTH - writer.INDENT

_OWN = ("self", "F", "math", "partial", "dtype", "state", PAST.code, START, SEEN)


def write_step(
    model: ResolvedModel,
    stepped: Stepped,
    access: Access,
    reserved: Iterable[str],
    forward: Forward,
    orders: Mapping[SumOfProducts, Path],
    *,
    inner: bool,
) -> list[str]:
    """The method; the helpers that it calls are added to those of `forward`."""
    names = Names([*_OWN, *reserved])
    handed = [names.exactly(parameter_name(name)) for name in model.handed]
    arguments = argument_names(model, names)
    bound = {size.name: names.fresh(size.name) for size in model.sizes}
    entries = {rewriting.START: START, rewriting.SEEN: SEEN}
    sizes = SizeNames({**bound, **entries}, names.exactly("lead"))
    find_like = partial(like, model, access, arguments, forward)
    scope = Scope(arguments, sizes, find_like, forward.used, orders=orders)
    body = write_body(
        scope, access, names, stepped.operations, stepped.output, stepped.names, forward
    )
    single = inner and model.single
    write_result(
        body, stepped.output, lambda texts: _returned(model, texts, scope, inner), single=single
    )
    totals = {name: names.fresh(f"{SEEN}_{name}") for name in stepped.totals}
    totals[stepped.size.name] = SEEN
    scope.use("_Past")
    lines = write_checks(model, arguments, sizes, "never" if inner else "fully")
    if not inner:
        scope.use("_evaluating")
        lines.append(f"{PAST} = _Past(state)")
    counts = stepped.counts and not inner
    before = _count(model, stepped, arguments, sizes) if counts else f"{PAST}.length"
    lines.append(f"{START} = {before}")
    lines += [f"{total} = {START} + {bound[name]}" for name, total in totals.items()]
    lines += write_requirements(model, SizeNames({**bound, **totals}, sizes.lead))
    lines += write_lines(body)
    lines = without_unused(lines, [*bound.values(), sizes.lead, *totals.values()])
    if not any(re.search(rf"(?<![.\w]){START}\b(?! =)", line) for line in lines):
        place = lines.index(f"{START} = {before}")
        lines[place : place + 1] = [before] * counts  # it counts, too
    return _method(model, stepped, lines, arguments.values(), handed, inner=inner)


def _count(
    model: ResolvedModel, stepped: Stepped, arguments: Mapping[str, str], sizes: SizeNames
) -> str:
    """The number of entries before."""
    entries = sizes.text(Size.name(stepped.size.name))
    lead = sizes.lead if any(source.shape.dots for source in model.inputs) else "()"
    return f"{PAST}.count({entries}, {lead}, {next(iter(arguments.values()))}.device)"


def _method(
    model: ResolvedModel,
    stepped: Stepped,
    lines: list[str],
    arguments: Iterable[str],
    handed: Iterable[str],
    *,
    inner: bool,
) -> list[str]:
    signature = ["self", *(f"{name}: Tensor" for name in arguments)]
    single = type_of(len(model.output), single=model.single)
    along = stepped.size.name
    if inner:
        signature += [f"{PAST}: _Past", *(f"{name}: Any" for name in handed)]
        text = writer.docstring(
            [f"`forward` of the next entries along {along}, behind those of the past."]
        )
        return writer.function("_step", signature, single, [*text, *lines])
    summary = writer.filled(
        f"What `forward` gives for the next entries along {along}, and the state behind them.",
        _ROOM,
        before=3,
    )
    more = (
        "It is computed in evaluation mode. `state` is that of the step before, None at the first "
    )
    more += "entries; it is not changed."
    if any(source.shape.dots for source in model.inputs):
        more += " Its tensors begin with the axes of `...`, so that rows can be reordered."
    text = writer.docstring([*summary, "", *writer.filled(more, _ROOM)])
    again = f"return self.step({', '.join([*arguments, 'state'])})"
    evaluating = ["if self.training:", *indented(["with _evaluating(self):", *indented([again])])]
    signature.append(f"state: {STATE} | None = None")
    return writer.function(
        "step", signature, f"tuple[{single}, {STATE}]", [*text, *evaluating, *lines]
    )


def _returned(model: ResolvedModel, texts: Sequence[Text], scope: Scope, inner: bool) -> Text:
    result = returned(model.output, texts, scope, single=model.single)
    if inner:
        return result
    several = not model.single and len(model.output) > 1
    return Text(f"{f'({result})' if several else result}, {PAST}.state()")
