"""A model as a file: a class for each network and model that it is made of, its own last."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from tncompile.emission import ClassSource, GeneratedModule, write_file
from tncompile.emission.module.constructor import write_accessors, write_annotations
from tncompile.emission.steps.complex_numbers import PARENT
from tncompile.emission.text import writer
from tncompile.emission.text.identifiers import identifier
from tncompile.emission.text.writer import class_
from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.typing.model import Extern, Layer, Part, Resolved, ResolvedModel
from tncompile.language.typing.operations import Scan
from tncompile.models.contracting import Order, Orders, Place
from tncompile.models.emission.access import Access
from tncompile.models.emission.construction import parts, ties
from tncompile.models.emission.construction.constructor import family_depth, write_init, write_start
from tncompile.models.emission.docstrings import write_docstring
from tncompile.models.emission.expressions import HELPERS as OF_EXPRESSIONS
from tncompile.models.emission.imports import FUNCTIONAL, Import, Imports
from tncompile.models.emission.loops.cells import write_cell
from tncompile.models.emission.methods import standing
from tncompile.models.emission.methods.arguments import Checked
from tncompile.models.emission.methods.forward import CONSTANTS, write_forward
from tncompile.models.emission.sources import HELPERS
from tncompile.models.emission.stepping.method import write_steps
from tncompile.models.emission.stepping.rewriting import Steps, causal_size
from tncompile.models.emission.stepping.sources import SOURCES as OF_STEPS
from tncompile.models.emission.stepping.sources import past_of
from tncompile.models.graph.forms import form_of
from tncompile.models.graph.hoisting import Splits, find_splits
from tncompile.network.packing import Quantization

MakeNetwork = Callable[[ResolvedNetwork, str], ClassSource]
"""The class of a network under a name."""


_TAKEN = (
    *("F", "partial", "contextmanager", "checkpoint", "deepcopy"),
    *("Any", "Callable", "ClassVar", "Iterator", "SupportsIndex"),
)
"""Names that a file may import."""

_LOCAL = ("device", "dtype", "batch_invariant", "h", "i", "j", "k")
"""Names inside `__init__`, where classes are called."""


def emit_model(
    model: ResolvedModel,
    networks: MakeNetwork,
    orders: Orders,
    quantized: Quantization | None = None,
) -> GeneratedModule:
    """The file of a model; equal arguments give equal bytes.

    Large tensors of networks are codes and scales where they are `quantized`.

    Models are told apart by what they compute: those that differ in nothing but the arguments that
    they were made with are one class.
    """
    classes = _Classes(networks, find_splits(model), orders, quantized)
    if causal_size(model) is not None:
        classes.stepping = {id(each) for each in classes.steps.reached(model)}
    root = classes.of(model, inner=False)
    header = writer.comment_lines(f"Made by tncompile from {model.target}.")
    inner = [each for each in classes.sources if each is not root]
    *sources, loaded = _with_past([*inner, replace(root, header=tuple(header))])
    return write_file([*sources, loaded], loaded=loaded)


def _with_past(sources: list[ClassSource]) -> list[ClassSource]:
    """The classes with no more of the helper `_Past` than the file calls."""
    whole = OF_STEPS["_Past"].rstrip("\n")
    texts = {text for each in sources for text in (*each.functions, *each.classes)} - {whole}
    past = past_of("\n".join(sorted(texts)))
    return [
        replace(each, functions=tuple(past if text == whole else text for text in each.functions))
        for each in sources
    ]


@dataclass
class _Classes:
    """The classes of a file so far: by what they were made from, and by what they compute."""

    networks: MakeNetwork
    splits: Splits
    orders: Orders
    quantized: Quantization | None = None
    sources: list[ClassSource] = field(default_factory=list)
    by_callee: dict[int, ClassSource] = field(default_factory=dict)
    by_meaning: dict[Hashable, ClassSource] = field(default_factory=dict)
    taken: set[str] = field(default_factory=lambda: {*_TAKEN, *_LOCAL})

    numbers: dict[int, dict[str, int]] = field(default_factory=dict)
    cells: set[int] = field(default_factory=set)  # models that a `scan` calls, again and again
    steps: Steps = field(default_factory=Steps)
    stepping: set[int] = field(default_factory=set)  # models that have a step

    def __post_init__(self) -> None:
        self.imports = Imports(self.taken)

    def of(self, callee: Resolved, *, inner: bool = True) -> ClassSource:
        """The class of a network or model; an `inner` one is a part of others."""
        if id(callee) not in self.by_callee:
            if isinstance(callee, ResolvedModel):
                self.by_callee[id(callee)] = self._model(callee, inner)
            else:
                self.by_callee[id(callee)] = self._network(callee)
        return self.by_callee[id(callee)]

    def _network(self, network: ResolvedNetwork) -> ClassSource:
        meaning = (
            network.name,
            network.indices,
            network.windows,
            network.inputs,
            network.parameters,
            network.tensors,
            network.biases,
            network.output,
        )
        if meaning not in self.by_meaning:
            source = self.networks(network, self._name(network.name))
            self.by_meaning[meaning] = source
            self.sources.append(source)
        return self.by_meaning[meaning]

    def _model(self, model: ResolvedModel, inner: bool) -> ClassSource:
        written = _Written(model, self, inner)
        self.numbers[id(model)] = written.forward.numbers
        body = written.attributes, tuple(map(tuple, written.methods))
        meaning = (model.name, *map(tuple, body))
        if meaning in self.by_meaning:
            return self.by_meaning[meaning]
        name = self._name(model.name)
        source = written.source(name)
        self.by_meaning[meaning] = source
        self.sources.append(source)
        return source

    def _name(self, name: str) -> str:
        """A class name: `MPO`, then `MPO2`, whose folded twin is free, too."""
        stem = identifier(name)
        number = 1
        while True:
            text = stem if number == 1 else f"{stem}{'_' * stem[-1].isdigit()}{number}"
            if not {text, f"{text}Folded"} & self.taken:
                self.taken |= {text, f"{text}Folded"}
                return text
            number += 1


class _Written:
    """The class of a model without its name: attributes, methods, and what they need around."""

    def __init__(self, model: ResolvedModel, classes: _Classes, inner: bool) -> None:
        self.model = model
        self.classes = classes
        imports = classes.imports
        foreign = [part.callee for part in model.parts if isinstance(part.callee, Extern)]
        called = {each.path: imports.name(each.path) for each in foreign}
        self.access = Access(model, called, quantized=classes.quantized)
        tensors = self.access.tensors
        classes.cells |= {id(e.part.callee) for e in model.operations if isinstance(e, Scan)}
        callees = [part.callee for part in model.parts if not part.outer]
        sources = [classes.of(each) for each in callees if isinstance(each, Resolved)]
        self.branching = any(source.branching for source in sources)
        checked: Checked = "fully" if not inner else "quickly"
        if id(model) in classes.cells:
            checked = "never"
        splits = classes.splits
        orders = classes.orders.get(model.target, {})
        ahead = {products: each.forward for (products, early), each in orders.items() if early}
        late = {products: each.forward for (products, early), each in orders.items() if not early}
        self.forward = write_forward(
            model, self.access, called.values(), checked, splits, ahead | late
        )
        computing = [self.forward.method]
        if split := splits.get(id(model)):
            computing = write_cell(
                model, self.access, (*called.values(),), self.forward, splits, split, (ahead, late)
            )
        steps = self._steps(called.values(), "quickly" if inner else "fully", orders)
        used = self.forward.used
        self.tied = ties.write_tied(model)
        after = ["self._tie()"] * bool(ties.tied_keys(model))
        if self.forward.bare:
            empty = "torch.empty(0, device=device, dtype=dtype)"
            after = [f'self.register_buffer("_like", {empty}, persistent=False)', *after]
        after += [f"self.{CONSTANTS}()"] * bool(self.forward.constants)
        start, functions = write_start(tensors)
        self.functions = functions
        self.methods = [
            write_init(
                self.access,
                self._make,
                list(self.forward.numbers),
                after,
                self._loose(steps),
                branching=self.branching,
            ),
            *start,
            *([self.forward.constants] if self.forward.constants else []),
            *self._apply(),
            *write_accessors(tensors),
            *ties.write_aliases(self.access),
            *computing,
            *steps,
        ]
        renamed = ties.write_renamed(self.access)
        self.bases = ["_Tied"] * bool(self.tied) + ["_Renamed"] * bool(renamed)
        used |= dict.fromkeys(self.bases)
        if tensors.complex:
            used |= dict.fromkeys(["_complex", "_on_parts"])
        annotations = write_annotations(tensors)
        form, self.stands = form_of(model), False
        if form is not None:
            taken = [each.family for each in tensors.parameters]
            self.methods += standing.write_layer(form, self.access, taken)
            annotations += standing.write_sizes(form, taken)
            self.stands = True
        annotations += [f"{name}: Tensor" for name in self.forward.buffers]
        annotations += ["_like: Tensor"] * self.forward.bare
        words = set(re.findall(r"\w+", str(self.methods)))
        self.imported = [
            found
            for path, name in called.items()
            for found in imports.of(path)
            if name.split(".")[0] in words
        ]
        self.attributes = [*annotations, *self.tied, *renamed]

    def _make(self, part: Part) -> str:
        """The call that makes a part."""
        callee = part.callee
        match callee:
            case Layer():
                stored = {*callee.parameters, *callee.buffers}
                text = parts.layer(callee, tied=bool(stored) and stored <= set(part.tied))
            case Extern():
                text = parts.extern(callee, self.classes.imports.name(callee.path))
            case _:
                source = self.classes.of(callee)
                options = ", batch_invariant=batch_invariant" * source.branching
                given = self.classes.numbers.get(id(callee), {})
                numbers = "".join(f"{identifier(key)}={n}, " for key, n in given.items())
                text = f"{source.name}({numbers}{parts.PLACED}{options})"
        return f"{text}.requires_grad_(False)" if part.frozen else text

    def _steps(
        self, reserved: Iterable[str], checked: Checked, orders: Mapping[Place, Order]
    ) -> list[list[str]]:
        """The methods that go on along a causal size, where there is one."""
        model, classes = self.model, self.classes
        if id(model) not in classes.stepping:
            return []
        stepped = classes.steps.of(model)
        own = {products: order.step for (products, _), order in orders.items()}
        return write_steps(model, stepped, self.access, reserved, self.forward, own, checked)

    def _loose(self, step: list[list[str]]) -> set[str]:
        """The families whose members have a `_step` or members, which no list of modules says."""
        return {
            family
            for family, members in self.access.families.items()
            if any(
                len(key) > 1 or (key and step and isinstance(part.callee, ResolvedModel))
                for key, part in members.items()
            )
        }

    def _apply(self) -> list[list[str]]:
        """The method behind `to`, `to_empty` and so on."""
        again = [f"self.{CONSTANTS}()"] * bool(self.forward.constants)
        change = "_on_parts(fn)" if self.access.tensors.complex else "fn"
        if not again and change == "fn":
            return []
        signature = ["self", "fn: Callable[[Tensor], Tensor]", "recurse: bool = True"]
        body = [PARENT, f"parent._apply({change}, recurse)", *again, "return self"]
        return [writer.function("_apply", signature, "nn.Module", body)]

    def source(self, name: str) -> ClassSource:
        """The class under a name."""
        doc = write_docstring(self.model)
        body = [*doc, *([""] if self.attributes else []), *self.attributes]
        text = class_(f"{name}({', '.join(self.bases) or 'nn.Module'})", body, self.methods)
        used = self.forward.used
        helpers = [HELPERS[each] for each in _with_needs(used)]
        helpers += [OF_EXPRESSIONS[each] for each in used if each in OF_EXPRESSIONS]
        helpers += [OF_STEPS[each] for each in OF_STEPS if each in used]
        imports: list[Import] = [*self.imported]
        imports += [FUNCTIONAL] * ("F" in used or any(" F." in each for each in helpers))
        imports += [("functools", "partial")] * ("partial" in used)
        imports += [standing.DEEPCOPY] * self.stands
        words = {word for each in [*helpers, *text] for word in re.findall(r"\w+", each)}
        imports += [("typing", word) for word in ("Any", "ClassVar") if word in words]
        imports += [("collections.abc", "Iterator")] * ("Iterator" in words)
        imports += [("contextlib", "contextmanager")] * ("contextmanager" in words)
        return ClassSource(
            name,
            (),
            tuple(each.rstrip("\n") for each in [*helpers, *self.functions]),
            ("\n".join(text),),
            self.branching,
            family_depth(self.access.tensors),
            tuple(dict.fromkeys(imports)),
        )


def _with_needs(used: dict[str, None]) -> list[str]:
    """Our own helpers among those used, each behind those that it calls."""
    needed = [name for name in HELPERS if name in used]
    if {"_wrong", "_given"} & set(needed):
        needed.append("_kind")
    return [name for name in HELPERS if name in needed]
