"""A whole file: header, imports, helper functions and the class."""

from __future__ import annotations

from dataclasses import replace

from tncompile.emission.generated import Declared, GeneratedModule
from tncompile.emission.module.arguments import BROADCAST, CHECKED_DTYPE, CHECKED_IDS
from tncompile.emission.module.constructor import (
    write_accessors,
    write_annotations,
    write_family_class,
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
from tncompile.program.operations import ContiguousGrad, OneHot, Rescale
from tncompile.program.program import TensorProgram
from tncompile.program.variants import Branches

INDENT = 8

RESCALED = '''\
def _rescaled(t: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """`t` divided by its largest magnitude over some axes, and the logarithm of that."""
    size = t.detach().abs()
    size = size.amax(axes, keepdim=True) if axes else size
    size = size.clamp(min=torch.finfo(size.dtype).tiny)  # zeros stay zeros
    log = size.to(torch.promote_types(size.dtype, torch.float32)).log()
    return t / size, log.squeeze(axes) if axes else log
'''


ONE_HOT = '''\
def _one_hot(ids: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """The ids as vectors along a new last axis: one at the id, else zero."""
    return (ids.unsqueeze(-1) == torch.arange(classes, device=ids.device)).to(dtype)
'''

LOG = '''\
def _log(t: Tensor) -> Tensor:
    """The logarithm of the magnitude; that of zero is minus infinity, and has no gradient."""
    size = torch.where(t == 0, 1, t).abs()
    log = size.to(torch.promote_types(size.dtype, torch.float32)).log()
    return torch.where(t == 0, -math.inf, log)
'''

TRAINING = '''\
def __setattr__(self, name: str, value: Tensor | nn.Module) -> None:
    """`training` is the flag of `nn.Module` still, beside the tensor of that name."""
    if name == "training" and isinstance(value, bool):
        self.__dict__[name] = value
    else:
        super().__setattr__(name, value)
'''

SETTLED = '''\
def _row_major(gradients: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    return tuple(None if gradient is None else gradient.contiguous() for gradient in gradients)


def _settled(t: Tensor) -> Tensor:
    """`t` itself; its gradient is made row major as it comes, once for all that reads it."""
    if not torch.compiler.is_compiling() and t.grad_fn is not None:
        t.grad_fn.register_prehook(_row_major)
    return t
'''

HELPERS: dict[type, str] = {Rescale: RESCALED, OneHot: ONE_HOT, ContiguousGrad: SETTLED}
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
    """The PyTorch source of a network; equal arguments give equal bytes.

    A `sharded` module runs that program, for any size of a leg; its style stands behind it.
    `weigh` plans and lowers the network of the dense weight; without it there is no such property.
    """
    name = class_name(network.name)
    members = ParameterAccess(network.parameters)
    straight = Option(branches.whole, branches.whole)
    chosen = dispatch(network, straight, planned(branches.training), planned(branches.inference))
    if sharded is not None:
        one = (Option(sharded.program, sharded.program),)
        chosen = dispatch(network, one[0], one, one)
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
        methods.append(write_fold(network, twin, members))
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
    family = write_family_class(members)
    blocks = [
        family,
        *_functions(network, programs, members),
        *([] if sharded is None else write_local_functions(sharded.sharding)),
        write_functions(initialization),
        *([] if sharded is None else [write_style(sharded.sharding)]),
        [f"class {name}(nn.Module):", *indented(body)],
        write_folded_class(network, twin, name),
    ]
    written = [line for block in blocks if block for line in ("", "", *block)]
    imports = ["import torch", "from torch import Tensor, nn"]
    standard = ["import math"] if any("math." in line for line in written) else []
    if sharded is not None:
        imports += IMPORTS
    abstract = ["Callable"] * _runs_again(programs) + ["Iterator"] * bool(family)
    if abstract:
        standard.append(f"from collections.abc import {', '.join(abstract)}")
    if family:
        standard.append("from typing import overload")
    if _runs_again(programs):
        imports.append(RERUN_IMPORT)
    if standard:
        imports = [*standard, "", *imports]
    lines = [*write_header(network, plan), "", *imports, *written]
    return GeneratedModule("\n".join(lines) + "\n", name, _declared(members), branching)


def _functions(
    network: TensorNetwork, programs: tuple[TensorProgram, ...], members: ParameterAccess
) -> list[list[str]]:
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
    if _runs_again(programs):
        found.append(RERUN)
    if network.output.log:
        found.append(LOG)
    return [text.splitlines() for text in found]


def _runs_again(programs: tuple[TensorProgram, ...]) -> bool:
    """Whether the backward pass of some program runs parts of it again."""
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
    written = write_steps(program, scope)
    added = f" + {written.log}" if written.log else ""
    body = [
        '"""The logarithm of the squared norm of the whole map, by contracting it with itself."""',
        f"dtype = torch.promote_types({like}.dtype, torch.float32)",
        *written.lines,
        f"return {written.result}.abs().log(){added}",
    ]
    return ["def _log_square_norm(self) -> Tensor:", *indented(body)]
