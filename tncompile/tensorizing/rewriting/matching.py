"""Which line of a rewrite says what becomes of each weight; patterns that match nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from fnmatch import translate
from itertools import islice

from torch import nn

from tncompile.language.diagnostics.collector import Problems, listed, problem
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic
from tncompile.tensorizing.rewriting.layers import Layer, layers_of
from tncompile.tensorizing.rewriting.rewrite import Line, Rewrite, exactly, shown

MOST_NAMED = 5
MOST_COMPARED = 2_000
"""Names that are looked through for those close to a pattern."""

LONGEST = 200
"""Characters of a name that is shown or compared."""


def match(rewrite: Rewrite, model: nn.Module) -> list[tuple[Layer, Line]]:
    """The layers that lines match, in the order of the model, kept ones too.

    The first line that matches any holder of a weight decides on it: where a head is tied to an
    embedding, they stay tied. Raises `CompileError` (TN701) for patterns that match nothing.
    """
    groups = layers_of(model)
    found: dict[int, tuple[Layer, Line]] = {}
    problems = Problems()
    for line in rewrite.lines:
        fits = re.compile(translate(line.pattern)).match
        matched = False
        for place, group in enumerate(groups):
            for layer in group:
                if _is_of(layer, line.kind) and any(map(fits, layer.names)):
                    matched = True
                    found.setdefault(place, (layer, line))
                    break
        if not matched:
            layers = [layer for group in groups for layer in group]
            bags = [name for name, each in model.named_modules() if type(each) is nn.EmbeddingBag]
            pattern = re.compile(translate(line.pattern))
            problems.add(_matches_nothing(line, layers, pattern, bags))
    problems.raise_errors()
    return [found[place] for place in sorted(found)]


def _is_of(layer: Layer, kind: str) -> bool:
    """Whether lines of this kind are about a layer."""
    return layer.kind == kind or (kind == "any" and layer.kind != "parameter")


def _matches_nothing(
    line: Line, layers: Sequence[Layer], pattern: re.Pattern[str], bags: Sequence[str]
) -> Diagnostic:
    """TN701, with the kind that was probably meant, or with the closest names.

    `bags` are the names of nn.EmbeddingBag, which is no layer here.
    """
    named = "parameter" if line.kind == "parameter" else "layer"
    kind = "" if line.kind in ("any", "parameter") else f"`{line.kind}` "
    message = f"no {kind}{named} has a name like this"
    others = [each for each in layers if any(map(pattern.match, each.names))]
    own = [each for each in layers if _is_of(each, line.kind)]
    label, hint = "matches nothing", "a pattern is a whole name; `*` stands for any part of it"
    if bag := next(filter(pattern.match, bags), None):
        note = f"`{_cut(bag)}` is an nn.EmbeddingBag: it adds rows of its own weight, so its table"
        note += " alone can be a network, which is contracted in each forward pass"
        weight = f"{bag}.weight" if bag else "weight"
        hint = f"write `parameter {exactly(weight)}`" if weight.isprintable() else hint
    elif others:
        first = others[0]
        note = f"`{_cut(first.name)}` matches, which is of the kind `{first.kind}`"
        hint = f"write `{first.kind}` in its place"
    elif not own:
        kinds = dict.fromkeys(each.kind for each in layers if each.kind != "parameter")
        note = f"the model has no {kind}{named}"
        note += f", but has layers of the kinds {listed(kinds)}" if kinds else ""
        hint = "write another kind" if kinds else "a rewrite is for a model with layers"
    else:
        close = _closest(line.pattern, own)
        note = f"the closest names: {listed(map(_cut, close))}"
    return problem(Code.NO_MATCH, message, line.rule.pattern.span, label, note, hint)


def _closest(pattern: str, layers: Sequence[Layer]) -> list[str]:
    """Names near a pattern; one of those that differ in numbers alone."""
    distinct: dict[str, str] = {}
    for name in islice(_names(layers), MOST_COMPARED):
        distinct.setdefault(re.sub(r"\d+", "*", name)[:LONGEST], name)
    near = get_close_matches(pattern[:LONGEST], list(distinct), MOST_NAMED, cutoff=0.4)
    return [distinct[each] for each in near] or list(distinct.values())[:MOST_NAMED]


def _names(layers: Sequence[Layer]) -> Iterator[str]:
    for layer in layers:
        yield from layer.names


def _cut(name: str) -> str:
    """A name as messages have it: any text may be one."""
    text = shown(name)
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"
