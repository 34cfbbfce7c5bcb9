"""The class of a network as text, and a whole file: header, imports, functions and classes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from tncompile.emission.generated import ClassSource, Declared, GeneratedModule
from tncompile.emission.module.arguments import BROADCAST, CHECKED_DTYPE, CHECKED_IDS
from tncompile.emission.module.constructor import (
    family_class,
    family_depth,
    write_accessors,
    write_annotations,
    write_init,
)
from tncompile.emission.module.dispatch import Option, dispatch, planned
from tncompile.emission.module.docstrings import write_docstring, write_header
from tncompile.emission.module.fold import folded, write_fold, write_folded_class
from tncompile.emission.module.forward import given_text, needs_like, write_forward
from tncompile.emission.module.properties import (
    MakeProgram,
    Properties,
    features_text,
    write_properties,
    write_sizes,
)
from tncompile.emission.module.reset_parameters import (
    write_estimate,
    write_functions,
    write_reset_parameters,
)
from tncompile.emission.sharding.functions import whole_members, write_local_functions
from tncompile.emission.sharding.source import (
    IMPORTS,
    write_attribute,
    write_sharded_forward,
    write_style,
)
from tncompile.emission.sharding.split import Sharded
from tncompile.emission.steps.expressions import Scope
from tncompile.emission.steps.loops import RERUN, RERUN_IMPORT
from tncompile.emission.steps.statements import write_steps
from tncompile.emission.text.identifiers import Names, class_name
from tncompile.emission.text.members import ParameterAccess
from tncompile.emission.text.writer import indented, string_lines
from tncompile.initialization.draws import Estimate, Initialization
from tncompile.network.features import Features, features, weight_network
from tncompile.network.model import TensorNetwork
from tncompile.planning.plan import ContractionPlan
from tncompile.program.operations import ContiguousGrad, Log, Magnitude, OneHot
from tncompile.program.program import TensorProgram
from tncompile.program.variants import Branches

INDENT = 8

MAGNITUDE = '''\
def _magnitude(t: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The largest magnitude of `t` over `axes`; no gradient flows through it."""
    size = t.detach().abs()
    size = size.amax(axes, keepdim=True) if axes else size
    return size.clamp(min=torch.finfo(size.dtype).tiny)  # zeros stay zeros
'''

LOG_SCALE = '''\
def _log_scale(scale: Tensor) -> Tensor:
    """The logarithm of a magnitude, in float32 at least."""
    return scale.to(torch.promote_types(scale.dtype, torch.float32)).log()
'''

ONE_HOT = '''\
def _one_hot(ids: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """One-hot vectors of the ids, along a new last axis."""
    return (ids.unsqueeze(-1) == torch.arange(classes, device=ids.device)).to(dtype)
'''

LOG = '''\
def _log(t: Tensor) -> Tensor:
    """The logarithm of `|t|`: minus infinity at zero, where no gradient flows."""
    size = torch.where(t == 0, 1, t).abs()
    log = size.to(torch.promote_types(size.dtype, torch.float32)).log()
    return torch.where(t == 0, -math.inf, log)
'''

TRAINING = '''\
def __setattr__(self, name: str, value: Tensor | nn.Module) -> None:
    """Keep the flag `training` of `nn.Module` beside the tensor of that name."""
    if name == "training" and isinstance(value, bool):
        self.__dict__[name] = value
    else:
        super().__setattr__(name, value)
'''

CONTIGUOUS_GRAD = '''\
def _contiguous(gradients: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    return tuple(None if gradient is None else gradient.contiguous() for gradient in gradients)


def _contiguous_grad(t: Tensor) -> Tensor:
    """Return `t`; make its gradient contiguous once in backward."""
    if not torch.compiler.is_compiling() and t.grad_fn is not None:
        t.grad_fn.register_prehook(_contiguous)
    return t
'''

HELPERS: dict[type, str] = {
    Magnitude: MAGNITUDE, Log: LOG_SCALE, OneHot: ONE_HOT, ContiguousGrad: CONTIGUOUS_GRAD
}  # fmt: skip
"""Functions of an emitted file that some operations call."""


def emit(
    network: TensorNetwork,
    plan: ContractionPlan,
    branches: Branches,
    initialization: Initialization,
    *,
    sharded: Sharded | None = None,
    weigh: MakeProgram = lambda _: None,
) -> GeneratedModule:
    """The file of one network, see `emit_class`; equal arguments give equal bytes."""
    source = emit_class(network, plan, branches, initialization, sharded=sharded, weigh=weigh)
    return write_file((source,))


def emit_class(
    network: TensorNetwork,
    plan: ContractionPlan,
    branches: Branches,
    initialization: Initialization,
    *,
    sharded: Sharded | None = None,
    weigh: MakeProgram = lambda _: None,
) -> ClassSource:
    """The class of a network, its folded twin, and what they need of a file around them.

    A `sharded` module runs that program, for any size of a leg; its style stands behind it.
    `weigh` plans and lowers the network of the dense weight; without it there is no such property.
    """
    name = class_name(network.name)
    members = ParameterAccess(network.parameters)
    straight = Option(branches.whole, branches.whole)
    chosen = dispatch(network, straight, planned(branches.training), planned(branches.inference))
    if sharded is not None:
        option = Option(sharded.program, sharded.program)
        chosen = dispatch(network, option, (option,), (option,))
    layer = features(network)
    properties = None if layer is None else _properties(network, layer, weigh)
    twin = folded(network, name, branches.folded, plan.batch, layer, weigh)
    norm = _norm_program(initialization)
    programs = (
        *(method.program for method in chosen.methods),
        *twin.programs,
        twin.folding.precomputed,
        *([] if norm is None else [norm]),
    )
    branching = chosen.branching or twin.chosen.branching
    bare = needs_like(network, members)
    methods = [write_init(members, like=bare, branching=branching)]
    methods.append(write_reset_parameters(initialization, members))
    if norm is not None:
        methods.append(write_norm(norm, members))
    elif initialization.rescaling is not None:
        methods.append(write_estimate(initialization.rescaling, members))
    if any(parameter.family == "training" for parameter in network.parameters):
        methods.append(TRAINING.splitlines())
    methods += write_accessors(members)
    whole = members if sharded is None else whole_members(members)
    methods += write_properties(properties, whole)
    methods.append(_write_repr(network, properties))
    if sharded is None:
        methods += write_forward(network, chosen, members)
    else:
        methods += write_sharded_forward(sharded.sharding, chosen, members)
    methods.append(write_fold(network, twin, whole))
    body = write_docstring(network, plan, chosen, members)
    annotations = [*write_annotations(members), *(["_like: Tensor"] if bare else [])]
    if annotations := [*annotations, *write_sizes(properties)]:
        body += ["", *annotations]
    body += [] if sharded is None else write_attribute(sharded.sharding)
    for method in methods:
        body += ["", *method]
    depth = family_depth(members)
    functions = [
        *_functions(network, programs, members),
        *([] if sharded is None else write_local_functions(sharded.sharding)),
        *write_functions(initialization),
    ]
    classes = [
        *([] if sharded is None else [write_style(sharded.sharding)]),
        [f"class {name}(nn.Module):", *indented(body)],
        write_folded_class(network, twin, name),
    ]
    return ClassSource(
        name,
        tuple(write_header(network, plan)),
        tuple(text.rstrip("\n") for text in functions),
        tuple("\n".join(lines) for lines in classes),
        _declared(members),
        branching,
        depth,
        recomputes=_recomputes(programs),
        sharded=sharded is not None,
    )


def write_file(classes: Sequence[ClassSource]) -> GeneratedModule:
    """One file of the classes of one or several networks, the first of which it is loaded for.

    Imports and functions that several of them need are there once. Raises ValueError where two
    define different things under one name.
    """
    depth = max(one.family_depth for one in classes)
    blocks = [family_class(depth).rstrip("\n")] if depth else []
    blocks += dict.fromkeys(text for one in classes for text in one.functions)
    blocks += [text for one in classes for text in one.classes]
    names = Counter(name for block in blocks for name in _DEFINITION.findall(block))
    if twice := [name for name, count in names.items() if count > 1]:
        raise ValueError(f"two networks of one file define `{twice[0]}`: rename one of them")
    recomputes = any(one.recomputes for one in classes)
    standard = ["import math"] if any("math." in block for block in blocks) else []
    if abstract := ["Callable"] * recomputes + ["Iterator"] * bool(depth):
        standard.append(f"from collections.abc import {', '.join(abstract)}")
    if depth:
        standard += ["from operator import index as _index"]
        standard += ["from typing import SupportsIndex, overload"]
    imports = [*standard, ""] if standard else []
    imports += ["import torch", "from torch import Tensor, nn"]
    imports += IMPORTS if any(one.sharded for one in classes) else ()
    imports += [RERUN_IMPORT] if recomputes else []
    lines = [*(line for one in classes for line in one.header), "", *imports]
    source = "\n\n\n".join(["\n".join(lines), *blocks]) + "\n"
    first = classes[0]
    return GeneratedModule(source, first.name, first.parameters, first.branching)


_DEFINITION = re.compile(r"^(?:def|class) (\w+)", re.MULTILINE)


def _functions(
    network: TensorNetwork, programs: tuple[TensorProgram, ...], members: ParameterAccess
) -> list[str]:
    """The functions that methods call, as far as these programs need them."""
    used = {type(step.operation) for program in programs for step in program.steps}
    found: list[str] = []
    if any(given.integer for given in network.inputs):
        found.append(CHECKED_IDS)
    if members.holder and not all(given.integer for given in network.inputs):
        found.append(CHECKED_DTYPE)
    if sum(any(a.kind == "dots" for a in given.axes) for given in network.inputs) > 1:
        found.append(BROADCAST)
    found += [text for kind, text in HELPERS.items() if kind in used]
    if _recomputes(programs):
        found.append(RERUN)
    if network.output.log:
        found.append(LOG)
    return found


def _recomputes(programs: tuple[TensorProgram, ...]) -> bool:
    """Whether the backward pass of some program recomputes parts of it."""
    return any(program.loop is not None and program.loop.recompute for program in programs)


def _properties(network: TensorNetwork, layer: Features, weigh: MakeProgram) -> Properties:
    """What the class has in common with a layer of torch."""
    taken = frozenset(parameter.family for parameter in network.parameters)
    weight = weight_network(network, layer)
    program = None if weight is None else weigh(weight.network)
    both = None if weight is None or program is None else (weight, program)
    return Properties(network, layer, taken, both, network.biases)


def _write_repr(network: TensorNetwork, properties: Properties | None) -> list[str]:
    """The method behind `print(module)`: what goes in, what comes out, how many numbers."""
    text = (
        f"{given_text(network)} -> {network.output.written}"
        if network.inputs
        else (network.output.written)
    )
    text = f"{features_text(network, properties)}, {text}"
    text += f", {network.parameter_count:,} parameters"
    lines = string_lines(text, indent=INDENT + len("return "))
    if len(lines) == 1:
        returned = [f"return {lines[0]}"]
    else:
        returned = ["return (", *indented(string_lines(text, indent=INDENT + 4)), ")"]
    return ["def extra_repr(self) -> str:", *indented(returned)]


def _declared(members: ParameterAccess) -> tuple[Declared, ...]:
    """The entries of the state dict."""
    return tuple(Declared(one.key, one.shape, one.frozen) for one in members.parameters)


def _norm_program(initialization: Initialization) -> TensorProgram | None:
    """The network contracted with itself, where the initialization does that."""
    rescaling = initialization.rescaling
    if rescaling is None or isinstance(rescaling.measure, Estimate):
        return None
    return rescaling.measure


def write_norm(program: TensorProgram, members: ParameterAccess) -> list[str]:
    """The method that contracts the network with itself, in float32 at least."""
    names = Names(["self", "dtype"])
    like = members.read(members.parameters[0].key)
    cast = replace(members, cast=".to(dtype)")
    scope = Scope(names, cast, {}, {}, "dtype", f"{like}.device")
    written = write_steps(program, scope, owned=False)
    result, *logarithms = written.results
    added = "".join(f" + {logarithm}" for logarithm in logarithms)
    body = [
        '"""The logarithm of the squared norm of the whole map, by contracting it with itself."""',
        f"dtype = torch.promote_types({like}.dtype, torch.float32)",
        *written.lines,
        f"return {result}.abs().log(){added}",
    ]
    return ["def _log_square_norm(self) -> Tensor:", *indented(body)]
