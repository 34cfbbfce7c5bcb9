"""`step` of the class of a model, and `_step`, which the steps of others call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from tncompile.emission.module.forward import without_unused
from tncompile.emission.text import writer
from tncompile.emission.text.identifiers import Names
from tncompile.language.typing.model import ResolvedModel
from tncompile.language.typing.sizes import Size
from tncompile.models.contracting import SumOfProducts
from tncompile.models.emission.access import Access, parameter_name
from tncompile.models.emission.expressions import Text
from tncompile.models.emission.layout import fitted
from tncompile.models.emission.methods.arguments import (
    Checked,
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


def write_steps(
    model: ResolvedModel,
    stepped: Stepped,
    access: Access,
    reserved: Iterable[str],
    forward: Forward,
    orders: Mapping[SumOfProducts, Path],
    checked: Checked,
) -> list[list[str]]:
    """The methods; the helpers that they call are added to those of `forward`.

    A model that others hand parts to has `_step` alone.
    """
    names = Names([*_OWN, *reserved])
    handed = [names.exactly(parameter_name(name)) for name in model.handed]
    arguments = argument_names(model, names)
    bound = {size.name: names.fresh(size.name) for size in model.sizes}
    entries = {rewriting.START: START, rewriting.SEEN: SEEN}
    sizes = SizeNames({**bound, **entries}, names.exactly("lead"))
    find_like = partial(like, model, access, arguments, forward)
    scope = Scope(arguments, sizes, find_like, forward.used, orders=orders)
    scope.numbers = forward.given
    scope.dotted = any(source.shape.dots for source in model.inputs)
    for helper in ("_Past", "_evaluating", "_stepped"):
        scope.use(helper)
    totals = {name: names.fresh(f"{SEEN}_{name}") for name in stepped.totals}
    totals[stepped.size.name] = SEEN
    lines = write_checks(model, arguments, sizes, "never")
    lines.append(f"{START} = {PAST}.length")
    lines += [f"{total} = {START} + {bound[name]}" for name, total in totals.items()]
    lines += write_requirements(model, SizeNames({**bound, **totals}, sizes.lead))
    lines += _computing(model, stepped, access, names, scope, forward)
    lines = without_unused(lines, [*bound.values(), sizes.lead, *totals.values(), START])
    single = type_of(len(model.output), single=model.single)
    signature = ["self", *(f"{name}: Tensor" for name in arguments.values()), f"{PAST}: _Past"]
    signature += [f"{name}: Any" for name in handed]
    summary = f"`forward` of the next entries along {stepped.size.name}, behind those of the past."
    inner = writer.function("_step", signature, single, [*writer.docstring([summary]), *lines])
    if model.handed:
        return [inner]
    return [_entry(model, stepped, scope, bound, checked), inner]


def _computing(
    model: ResolvedModel,
    stepped: Stepped,
    access: Access,
    names: Names,
    scope: Scope,
    forward: Forward,
) -> list[str]:
    """The lines that compute; results that may be views of what is kept are copied."""
    output = stepped.output
    body = write_body(
        scope,
        access,
        names,
        stepped.operations,
        output,
        stepped.names,
        forward,
        first=stepped.held.kept,
    )

    def result(texts: Sequence[Text]) -> Text:
        pairs = zip(output, texts, strict=True)
        own = [text.method("clone") if x in stepped.held.shared else text for x, text in pairs]
        return returned(output, own, scope, single=model.single)

    write_result(body, output, result, single=model.single)
    return write_lines(body)


# ── where a caller comes in ───────────────────────────────────────────────────────────────────────


def _entry(
    model: ResolvedModel,
    stepped: Stepped,
    scope: Scope,
    bound: dict[str, str],
    checked: Checked,
) -> list[str]:
    """`step`: it looks at its arguments and at the state."""
    arguments, sizes = scope.inputs, scope.sizes
    names = arguments.values()
    lines = write_checks(model, arguments, sizes, checked)
    lead = sizes.lead if scope.dotted else "()"
    lines.append(f"{PAST} = _Past(state{f', {lead}' * scope.dotted})")
    if stepped.counts:
        count = sizes.text(Size.name(stepped.size.name))
        lines.append(f"{PAST}.count({count}, {lead}, {next(iter(names))}.device)")
    for source in stepped.held.inputs:
        without = scope.dotted and not source.shape.dots
        past = PAST.method("expanded", lead) if without else PAST
        lines.append(f"{arguments[source.name]} = {past.method('given', arguments[source.name])}")
    lines += fitted(f"return _stepped(self, {PAST}, state, {', '.join(names)})")
    lines = without_unused(lines, [*bound.values(), sizes.lead])
    gives = type_of(len(model.output), single=model.single)
    signature = ["self", *(f"{name}: Tensor" for name in names), f"state: {STATE} | None = None"]
    text = writer.docstring(_documentation(model, stepped, full=checked == "fully"))
    return writer.function("step", signature, f"tuple[{gives}, {STATE}]", [*text, *lines])


def _documentation(model: ResolvedModel, stepped: Stepped, *, full: bool) -> list[str]:
    summary = f"What `forward` gives for the next entries along {stepped.size.name}, and the state "
    summary += "behind them."
    lines = writer.filled(summary, _ROOM, before=3)
    if not full:
        return lines
    more = "It is computed in evaluation mode. `state` is that of the step before, None at the "
    more += "first entries; it is not changed."
    if any(source.shape.dots for source in model.inputs):
        more += " Its tensors begin with the axes of `...`, so that rows can be reordered."
    if stepped.given:
        names = " and ".join(f"`{source.name}`" for source in stepped.given)
        more += f" What {names} had at the first entries counts for all: the state has it."
    more += " Gradients reach back through it: generate under `torch.inference_mode()`."
    return [*lines, "", *writer.filled(more, _ROOM)]
