"""The class of a network as text, and a whole file: header, imports, functions and classes."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from tncompile.emission.module import constructor
from tncompile.emission.module import properties as layers
from tncompile.emission.module import quantized as quantizing
from tncompile.emission.module.arguments import (
    BROADCAST,
    CHECKED_DTYPE,
    CHECKED_PRECISION,
    COMMON_DTYPE,
    differ_in_dtype,
)
from tncompile.emission.module.dispatch import Option, dispatch, planned
from tncompile.emission.module.docstrings import write_docstring, write_header
from tncompile.emission.module.fold import folded, write_fold, write_folded_class
from tncompile.emission.module.forward import needs_like, write_forward
from tncompile.emission.module.ids import CHECKED_ID, CHECKED_IDS, ROW
from tncompile.emission.module.properties import MakeProgram, Properties
from tncompile.emission.module.repetition import DISTINCT
from tncompile.emission.module.reset_parameters import write_functions, write_reset_parameters
from tncompile.emission.sharding import source as sharding
from tncompile.emission.sharding.split import Sharded
from tncompile.emission.steps.complex_numbers import BY_PARTS, COMPLEX, ON_PARTS, PRODUCT
from tncompile.emission.steps.expressions import is_grouped
from tncompile.emission.steps.loops import RERUN, RERUN_IMPORT
from tncompile.emission.text.identifiers import identifier
from tncompile.emission.text.members import ParameterAccess
from tncompile.emission.text.writer import WIDTH, class_
from tncompile.initialization.draws import Initialization
from tncompile.initialization.estimates import Estimate
from tncompile.network.features import Features, features, weight_network
from tncompile.network.model import TensorNetwork
from tncompile.network.packing import Quantization, packings, stored
from tncompile.planning.plan import ContractionPlan
from tncompile.program import operations as op
from tncompile.program import queries
from tncompile.program.program import TensorProgram
from tncompile.program.quantizing import dequantized
from tncompile.program.variants import Branches

MAGNITUDE = '''\
def _magnitude(t: Tensor, axes: tuple[int, ...]) -> Tensor:
    """A power of two near the largest magnitude of `t` over `axes`, without a gradient."""
    size = t.detach().abs()
    size = size.amax(axes, keepdim=True) if axes else size
    size = size.clamp(min=2 * torch.finfo(size.dtype).tiny)  # zeros stay zeros
    return size.log2().sub(0.5).floor().exp2()  # without the half, large numbers round up to inf
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

GROUPED = '''\
def _grouped(call: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A convolution in as many groups as the batch says; torch refuses the none of an empty one."""

    def grouped(
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        *,
        groups: int,
        **options: int | tuple[int, ...],
    ) -> Tensor:
        if groups:
            return call(x, weight, bias, groups=groups, **options)
        lengths = (0,) * (2 * x.dim() - 4)  # one group of zeros, of which nothing is kept
        x = nn.functional.pad(x, (*lengths, 0, weight.shape[1]))
        weight = nn.functional.pad(weight, (*lengths, 0, 0, 0, weight.shape[1]))
        return call(x, weight, **options)[:, :0]

    return grouped
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


@dataclass(frozen=True, slots=True)
class ClassSource:
    """The classes of one network as text, and what they need of the file that they stand in.

    header        comments that say what it was made from
    functions     those that its methods call
    classes       the module, its folded twin, and its parallel style if it is sharded
    branching     whether the batch size decides what runs
    family_depth  the most subscripts that a tensor has
    imports       modules and names of them, beside those that every file has
    """

    name: str
    header: tuple[str, ...]
    functions: tuple[str, ...]
    classes: tuple[str, ...]
    branching: bool
    family_depth: int
    imports: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class GeneratedModule:
    """A complete Python file that imports torch and the standard library only, and its class.

    Where it is `branching`, the batch size decides what runs, and the class takes the argument
    `batch_invariant` that forbids it.
    """

    source: str
    class_name: str
    branching: bool = False


def emit(
    network: TensorNetwork,
    plan: ContractionPlan,
    branches: Branches,
    initialization: Initialization,
    *,
    sharded: Sharded | None = None,
    weigh: MakeProgram = lambda _: None,
    quantized: Quantization | None = None,
) -> GeneratedModule:
    """The file of one network, see `emit_class`; equal arguments give equal bytes."""
    source = emit_class(
        network, plan, branches, initialization, sharded=sharded, weigh=weigh, quantized=quantized
    )
    return write_file((source,))


def emit_class(
    network: TensorNetwork,
    plan: ContractionPlan,
    branches: Branches,
    initialization: Initialization,
    *,
    sharded: Sharded | None = None,
    weigh: MakeProgram = lambda _: None,
    quantized: Quantization | None = None,
) -> ClassSource:
    """The class of a network, its folded twin, and what they need of a file around them.

    A `sharded` module runs that program, for any size of a leg; its style stands behind it.
    `weigh` plans and lowers the network of the dense weight; without it there is no such property.
    Large tensors are integers and scales where `quantized` says so, which no sharded module has.
    """
    name = identifier(network.name)
    packed = packings(network, quantized)
    assert sharded is None or not packed
    members = whole = ParameterAccess(stored(network.parameters, packed), packed=packed)
    style: list[list[str]] = []
    local_functions: list[str] = []
    attribute: list[str] = []
    if sharded is None:
        straight = Option(dequantized(branches.whole, packed), branches.whole)
        training, inference = (
            tuple(replace(each, program=dequantized(each.program, packed)) for each in options)
            for options in (planned(branches.training), planned(branches.inference))
        )
        chosen = dispatch(network, straight, training, inference, branches.repeats)
        forward = write_forward(network, chosen, members)
    else:
        split, option = sharded.sharding, Option(sharded.program, sharded.program)
        chosen = dispatch(network, option, (option,), (option,))
        local, whole = sharding.local_members(split, members), sharding.whole_members(members)
        forward = write_forward(split.opened, chosen, local, sharding.bound_size(split, local))
        style, attribute = [sharding.write_style(split)], sharding.write_attribute(split)
        local_functions = sharding.write_local_functions(split)
    layer = features(network)
    properties = None if layer is None else _properties(network, layer, weigh, members)
    twin = folded(network, name, branches.folded, plan.batch, layer, weigh)
    computed = dequantized(twin.folding.precomputed, packed)
    twin = replace(twin, folding=replace(twin.folding, precomputed=computed))
    programs = [method.program for method in (*chosen.methods, *twin.chosen.methods)]
    programs.append(twin.folding.precomputed)
    rescaling = initialization.rescaling
    if rescaling is not None and not isinstance(rescaling.measure, Estimate):
        measure = dequantized(rescaling.measure, packed)
        programs.append(measure)
        initialization = replace(initialization, rescaling=replace(rescaling, measure=measure))
    bare = needs_like(network, members)
    branching = chosen.branching or twin.chosen.branching
    methods = [
        constructor.write_init(members, like=bare, branching=branching),
        *constructor.write_conversion(members),
        *write_reset_parameters(initialization, members),
        *constructor.write_accessors(members),
        *layers.write_properties(properties, whole),
        layers.write_repr(network, properties, quantizing.count_text(network, packed)),
        *forward,
        write_fold(network, twin, whole),
    ]
    attributes = constructor.write_annotations(members) + ["_like: Tensor"] * bare
    attributes += layers.write_sizes(properties)
    body = write_docstring(network, chosen, members)
    body += [*([""] if attributes else []), *attributes, *attribute]
    module = class_(f"{name}(nn.Module)", body, methods)
    classes = [*style, module, write_folded_class(network, twin, name)]
    functions = _functions(network, programs, members, bool(chosen.repeats)) + local_functions
    if properties is not None and properties.weight is not None:
        programs.append(properties.weight[1])
    functions += quantizing.write_functions(packed.values(), programs)
    if any(" = _checked_id(" in line for lines in classes for line in lines):
        functions.insert(functions.index(CHECKED_IDS) + 1, CHECKED_ID)
    return ClassSource(
        name,
        tuple(write_header(network, plan)),
        tuple(text.rstrip("\n") for text in [*functions, *write_functions(initialization)]),
        tuple("\n".join(lines) for lines in classes),
        branching,
        constructor.family_depth(members),
    )


def write_file(
    classes: Sequence[ClassSource], loaded: ClassSource | None = None
) -> GeneratedModule:
    """One file of the classes of networks and models, `loaded` for one of them, or for the first.

    Imports and functions that several of them need are there once. Raises ValueError where two
    define different things under one name.
    """
    first = loaded or classes[0]
    depth = max(source.family_depth for source in classes)
    blocks = [constructor.family_class(depth).rstrip("\n")] if depth else []
    blocks += dict.fromkeys(text for source in classes for text in source.functions)
    blocks += [text for source in classes for text in source.classes]
    names = Counter(name for block in blocks for name in _DEFINITION.findall(block))
    if twice := [name for name, count in names.items() if count > 1]:
        raise ValueError(f"two networks of one file define `{twice[0]}`: rename one of them")
    imports = {("torch", ""), ("torch", "Tensor"), ("torch", "nn")}
    imports |= {each for source in classes for each in source.imports}
    if any("math." in block for block in blocks):
        imports.add(("math", ""))
    recomputes = RERUN.rstrip("\n") in blocks
    if recomputes or any("Callable[" in block for block in blocks):
        imports.add(("collections.abc", "Callable"))
    if any(": Any = " in block for block in blocks):
        imports.add(("typing", "Any"))
    if depth:
        imports |= {("collections.abc", "Iterator"), ("operator", "index as _index")}
        imports |= {("typing", "SupportsIndex"), ("typing", "overload")}
    if sharding.LOCAL.rstrip("\n") in blocks:
        imports |= sharding.IMPORTS
    if recomputes:
        imports.add(RERUN_IMPORT)
    header = [*first.header, *(line for source in classes for line in source.header)]
    lines = [*dict.fromkeys(header), "", *_imports(imports)]
    gap = "\n\n\n" if blocks[0].startswith(("def ", "class ", "@")) else "\n\n"
    text = "\n".join(lines) + gap + "\n\n\n".join(blocks) + "\n"
    return GeneratedModule(text, first.name, first.branching)


def _imports(imports: Iterable[tuple[str, str]]) -> list[str]:
    """The statements, those of the standard library first, as ruff sorts them."""
    lines: list[str] = []
    for standard in (True, False):
        section = sorted(
            each for each in imports
            if (re.split("[. ]", each[0])[0] in sys.stdlib_module_names) is standard
        )  # fmt: skip
        lines += [""] * bool(lines and section)
        lines += [f"import {module}" for module, name in section if not name]
        named = [each for each in section if each[1]]
        for module, members in groupby(named, lambda each: each[0]):
            names = sorted((name for _, name in members), key=_rank)
            flat = f"from {module} import {', '.join(names)}"
            broken = [f"from {module} import (", *(f"    {name}," for name in names), ")"]
            lines += [flat] if len(flat) <= WIDTH else broken
    return lines


def _rank(name: str) -> tuple[int, str]:
    """Constants come before classes, and these before functions."""
    return (0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2), name


_DEFINITION = re.compile(r"^(?:def|class) (\w+)", re.MULTILINE)


def _functions(
    network: TensorNetwork,
    programs: Sequence[TensorProgram],
    members: ParameterAccess,
    repeats: bool,
) -> list[str]:
    """The functions that methods call, as far as these programs need them."""
    used = {type(step.operation) for program in programs for step in program.steps}
    products = [
        step.operation for program in programs for step in program.steps
        if queries.is_mixed(program, step.operation)
    ]  # fmt: skip
    checked = members.holder is not None and not all(source.integer for source in network.inputs)
    ids = [source.integer for source in network.inputs]
    dotted = [axis for source in network.inputs for axis in source.axes if axis.kind == "dots"]
    needed = {
        CHECKED_IDS: any(ids),
        ROW: any(queries.is_row(p, step.operation) for p in programs for step in p.steps),
        DISTINCT: repeats,
        COMPLEX: network.complex,
        ON_PARTS: network.complex,
        CHECKED_DTYPE: checked and not network.complex,
        CHECKED_PRECISION: checked and network.complex,
        COMMON_DTYPE: differ_in_dtype(network),
        BROADCAST: len(dotted) > 1,
        MAGNITUDE: op.Magnitude in used,
        LOG_SCALE: op.Log in used,
        ONE_HOT: op.OneHot in used,
        CONTIGUOUS_GRAD: op.ContiguousGrad in used,
        RERUN: any(program.loop and program.loop.recompute for program in programs),
        LOG: network.output.log,
        PRODUCT: any(isinstance(product, op.MatMul) for product in products),
        GROUPED: any(is_grouped(p, step.operation) for p in programs for step in p.steps),
        BY_PARTS: any(isinstance(product, op.Convolve) for product in products),
    }
    return [text for text, need in needed.items() if need]


def _properties(
    network: TensorNetwork, layer: Features, weigh: MakeProgram, members: ParameterAccess
) -> Properties:
    """What the class has in common with a layer of torch."""
    reserved = frozenset(parameter.family for parameter in members.parameters)
    weight = weight_network(network, layer)
    program = None if weight is None else weigh(weight.network)
    contracted = None
    if weight is not None and program is not None:
        contracted = weight, dequantized(program, members.packed)
    return Properties(network, layer, reserved, contracted, network.biases)
