"""`reset_parameters` of an emitted class: draws, and the one factor that rescales them together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from tncompile.emission.steps.expressions import Scope
from tncompile.emission.steps.statements import write_steps
from tncompile.emission.text.identifiers import Names
from tncompile.emission.text.members import ParameterAccess
from tncompile.emission.text.writer import (
    INDENT,
    WIDTH,
    call,
    docstring,
    filled,
    function,
    indented,
)
from tncompile.initialization import draws as drawn
from tncompile.initialization.draws import Draw, Initialization, Rescaling
from tncompile.initialization.estimates import Estimate
from tncompile.program.program import TensorProgram

ORTHOGONAL = '''\
def _orthogonal(like: Tensor, rows: int, columns: int) -> Tensor:
    """A random matrix with orthonormal columns (or rows, if fewer), in the shape of `like`."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    normal = torch.randn(max(rows, columns), min(rows, columns), dtype=dtype, device=like.device)
    q, r = torch.linalg.qr(normal)
    q = q * r.diagonal().sgn()  # every orthogonal matrix is equally likely
    matrix: Tensor = q if rows >= columns else q.mH
    return matrix.reshape(like.shape).to(like.dtype)
'''


CHAINED = (
    "Along a long chain every slice is the identity between the bonds plus a little noise, so that"
    " features that sum to one are handed through, however many the sites."
)
RESCALED = (
    "A product of random factors is rarely as large as its mean over draws, so they are rescaled"
    " together until the whole is."
)


def write_functions(initialization: Initialization) -> list[str]:
    """The functions that `reset_parameters` calls, to stand before the class; often none."""
    matrices = (draw for draw in initialization.draws.values() if isinstance(draw, drawn.Matrix))
    return [ORTHOGONAL] * any(matrix.orthogonal for matrix in matrices)


def write_reset_parameters(
    initialization: Initialization, members: ParameterAccess
) -> list[list[str]]:
    """The method, without indentation, and the one that measures the map where it needs that."""
    rescaling, biases = initialization.rescaling, dict.fromkeys(initialization.biases)
    measure: list[str] = []
    body = _draws({k: draw for k, draw in initialization.draws.items() if k not in biases}, members)
    if rescaling is not None:
        if isinstance(rescaling.measure, Estimate):
            measure = _estimate(rescaling.measure, _real(members, rescaling.keys[0]))
            body += [f"{members.read(key)}.zero_()" for key in biases]
            body += _rescale(rescaling, members, "log_mean_square")
        else:
            measure = _norm(rescaling.measure, members)
            body += _rescale(rescaling, members, "log_square_norm")
    body += _draws({key: initialization.draws[key] for key in biases}, members)
    if sum(line.startswith("for tensor in ") for line in body) > 1:
        body.insert(0, "tensor: Tensor")  # else type checkers take what the first loop runs over
    reasons = [CHAINED] * initialization.chained + [RESCALED] * (rescaling is not None)
    text = ["", *filled(" ".join(reasons), WIDTH - INDENT)] if reasons else []
    aim = filled(initialization.aim, WIDTH - INDENT, before=3)
    body = [*docstring([*aim, *text]), *body]
    method = ["@torch.no_grad()", *function("reset_parameters", ["self"], "None", body)]
    return [method, measure] if measure else [method]


def _norm(program: TensorProgram, members: ParameterAccess) -> list[str]:
    """The method that contracts the network with itself, in float32 at least."""
    like = members.real
    dtype = [f"dtype = torch.promote_types({like}.dtype, torch.float32)"]
    scope = Scope(Names(["self", "dtype"]), members, {}, {}, f"{like}.dtype", f"{like}.device")
    if members.complex:  # never of half precision
        dtype = []
    else:
        scope = replace(scope, members=replace(members, cast=".to(dtype)"), dtype="dtype")
    written = write_steps(program, scope, owned=False)
    result, *logarithms = written.results
    added = "".join(f" + {logarithm}" for logarithm in logarithms)
    body = [
        '"""The logarithm of the squared norm of the whole map, by contracting it with itself."""',
        *dtype,
        *written.lines,
        f"return {result}.abs().log(){added}",
    ]
    return function("_log_square_norm", ["self"], "Tensor", body)


def _real(members: ParameterAccess, key: str) -> str:
    """A tensor with the dtype and device of inputs: a parameter, or its real parts."""
    key = _floating(key, members)
    return members.read(key) + ".real" * members.by_key[key].complex


def _floating(key: str, members: ParameterAccess) -> str:
    """What is rescaled with a parameter: itself, or the scale of what is packed."""
    return members.packed[key].scale.key if key in members.packed else key


def _estimate(estimate: Estimate, like: str) -> list[str]:
    """The method that measures the map on random inputs."""
    names = Names(["like", "logs", "squares", "log", "y"])
    arguments = [names.fresh(source.name) for source in estimate.inputs]
    loop: list[str] = []
    for source, name in zip(estimate.inputs, arguments, strict=True):
        sizes = ", ".join(map(str, source.shape))
        if source.classes is not None:
            shape = f"({sizes},)" if len(source.shape) == 1 else f"({sizes})"
            loop.append(f"{name} = torch.randint({source.classes}, {shape}, device=like.device)")
            continue
        loop.append(f"{name} = torch.randn({sizes}, dtype=like.dtype, device=like.device)")
        if source.unit:
            axes = ", ".join(str(-k) for k in range(source.unit, 0, -1))
            across = f"({axes})" if source.unit > 1 else axes
            loop.append(f"{name} = {name} / {name}.norm(dim={across}, keepdim=True)")
    output = f"self.forward({', '.join(arguments)})"
    spans = [":" if span is None else f"{span[0]}:{span[1]}" for span in estimate.inside]
    inside = f"[{', '.join(['...', *spans])}]" if spans else ""
    if estimate.log:
        loop += [f"_, log = {output}", f"logs.append(2 * log{inside}.flatten())"]
    else:
        loop += [f"y = {output}{inside}", "logs.append(2 * y.abs().float().log().flatten())"]
    body = [
        '"""The logarithm of the mean square of the output on random inputs, an estimate.',
        "",
        "The exact one, by contracting the network with itself, costs too much here.",
        '"""',
        f"like = {like}",
        "logs = []",
        f"for _ in range({estimate.chunks}):",
        *indented(loop),
        "squares = torch.cat(logs)",
        "return squares.logsumexp(0) - math.log(squares.numel())",
    ]
    return function("_log_mean_square", ["self"], "Tensor", body)


def number(value: float) -> str:
    """A constant of the source: digits enough, and the same ones on every machine."""
    return repr(float(f"{value:.10g}"))


def _constant(value: float) -> str:
    """A number of the source as it was written: all of its digits, `1` for 1.0."""
    return repr(int(value) if float(value).is_integer() and abs(value) < 2**53 else value)


def _draws(draws: dict[str, Draw], members: ParameterAccess) -> list[str]:
    """A statement, or a loop over parameters that start alike, for each draw."""
    alike: dict[tuple[Draw, bool, tuple[int, ...]], list[str]] = {}
    for key, draw in draws.items():
        packing = members.packed.get(key)
        shape = members.by_key[key].shape if packing is None else packing.parameter.shape
        split = isinstance(draw, drawn.NearIdentity) and draw.legs != shape
        alike.setdefault((draw, split, () if packing is None else shape), []).append(key)
    lines: list[str] = []
    for (draw, split, packed_shape), keys in alike.items():
        if packed_shape:
            lines += _stored(keys, packed_shape, _start("tensor", draw, split), members)
        elif len(keys) == 1:
            lines += _start(members.read(keys[0]), draw, split)
        else:
            lines += [*_loop(keys, members), *indented(_start("tensor", draw, split))]
    return lines


def _stored(
    keys: Sequence[str], shape: tuple[int, ...], start: list[str], members: ParameterAccess
) -> list[str]:
    """Draws that are kept as codes and scales, in a loop where there are several."""
    codes = [members.packed[key].codes.key for key in keys]
    scales = [members.packed[key].scale.key for key in keys]
    sizes = ", ".join(map(str, shape))

    def body(codes: str, scale: str) -> list[str]:
        return [f"tensor = {scale}.new_empty({sizes})", *start, f"_store(tensor, {codes}, {scale})"]

    if len(keys) == 1:
        return body(members.read(codes[0]), members.read(scales[0]))
    lists: list[str] = []
    for each in (codes, scales):
        items = members.listed(each)
        alone = len(items) == 1 and items[0].startswith("*")
        lists.append(items[0][1:] if alone else f"[{', '.join(items)}]")
    head = call("for codes, scale in zip(", [*lists, "strict=True"], "):")
    return [*head, *indented(body("codes", "scale"))]


def _loop(keys: Sequence[str], members: ParameterAccess) -> list[str]:
    """The head of a loop over parameters."""
    items = members.listed(keys)
    flat = f"for tensor in {items[0].removeprefix('*')}:"
    if len(items) == 1 and items[0].startswith("*") and len(flat) + INDENT <= WIDTH:
        return [flat]
    return call("for tensor in [", items, "]:")


def _start(tensor: str, draw: Draw, split: bool) -> list[str]:
    """The statements that fill one parameter."""
    match draw:
        case drawn.Normal(std):
            return [f"{tensor}.normal_(std={number(std)})"]
        case drawn.Uniform(bound):
            return [f"{tensor}.uniform_(-{number(bound)}, {number(bound)})"]
        case drawn.Constant(value):
            return [f"{tensor}.fill_({_constant(value)})" if value else f"{tensor}.zero_()"]
        case drawn.Counting(length):
            return [f"{tensor}.copy_(torch.arange({length}, device={tensor}.device))"]
        case drawn.Matrix(orthogonal, rows, columns):
            if orthogonal:
                return [f"{tensor}.copy_(_orthogonal({tensor}, {rows}, {columns}))"]
            ones = f"{tensor}.view({rows}, {columns}).diagonal().fill_(1)"
            return [f"{tensor}.zero_()", ones]
        case drawn.IdentityKernel(middle, legs, rows, columns):
            place = ", ".join(":" if entry is None else str(entry) for entry in middle)
            identity = f"torch.eye({rows}, {columns}, device={tensor}.device)"
            if math.prod(legs) == 1:
                identity = "1"
            elif legs != (rows, columns):
                identity += f".view({', '.join(map(str, legs))})"
            return [f"{tensor}.zero_()", f"{tensor}[{place}] = {identity}"]
        case drawn.NearIdentity(legs, bonds, scale, std):
            seen = f"{tensor}.view({', '.join(map(str, legs))})" if split else tensor
            if len(bonds) == 2:
                slices = f"{seen}.diagonal(dim1={bonds[0]}, dim2={bonds[1]})"
            else:
                slices = f"{seen}.select({bonds[0]}, 0)"
            return [f"{tensor}.normal_(std={number(std)})", f"{slices}.add_({number(scale)})"]
        case _:
            assert_never(draw)


def _rescale(rescaling: Rescaling, members: ParameterAccess, measured: str) -> list[str]:
    """The factor from what is `measured`, by the method of that name, and its use."""
    power = f"({number(rescaling.log_wanted)} - {measured}) / {2 * rescaling.uses}"
    lines = [
        f"{measured} = self._{measured}()",
        f"scale = torch.exp({power})  # of each of {rescaling.uses} factors",
        f"scale = torch.where({measured}.isfinite(), scale, 1.0)",
    ]
    keys = [_floating(key, members) for key in rescaling.keys]
    if len(keys) == 1:
        return [*lines, f"{members.read(keys[0])}.mul_(scale)"]
    return [*lines, *_loop(keys, members), "    tensor.mul_(scale)"]
