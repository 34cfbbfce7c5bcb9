"""`reset_parameters` of an emitted class: draws, and the one factor that rescales them together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from tncompile.emission.text.identifiers import Names
from tncompile.emission.text.members import ParameterAccess
from tncompile.emission.text.writer import TAB, WIDTH, docstring, filled, indented
from tncompile.initialization.draws import (
    Constant,
    Draw,
    Estimate,
    Initialization,
    Matrix,
    NearIdentity,
    Normal,
    RandomInput,
    Rescaling,
    Uniform,
)

INDENT = 8
"""The columns left of a statement in a method."""

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
    draws = initialization.draws.values()
    return [ORTHOGONAL] * any(isinstance(draw, Matrix) and draw.orthogonal for draw in draws)


def write_reset_parameters(initialization: Initialization, members: ParameterAccess) -> list[str]:
    """The method, without indentation."""
    rescaling = initialization.rescaling
    body: list[str] = []
    biases = set(initialization.biases)
    body += _draws(
        {key: draw for key, draw in initialization.draws.items() if key not in biases}, members
    )
    if rescaling is not None:
        if isinstance(rescaling.measure, Estimate):
            body += [f"{members.read(key)}.zero_()" for key in initialization.biases]
        body += _rescale(rescaling, members)
    body += _draws({key: initialization.draws[key] for key in initialization.biases}, members)
    if sum(line.startswith("for tensor in ") for line in body) > 1:
        body.insert(0, "tensor: Tensor")  # else type checkers take what the first loop runs over
    body = [*_docstring(initialization), *body]
    return ["@torch.no_grad()", "def reset_parameters(self) -> None:", *indented(body)]


def write_estimate(rescaling: Rescaling, members: ParameterAccess) -> list[str]:
    """The method `_log_mean_square` that measures the map on random inputs, without indentation."""
    estimate = rescaling.measure
    assert isinstance(estimate, Estimate)
    names = Names(["like", "logs", "squares", "log", "y"])
    given = {held.name: names.fresh(held.name) for held in estimate.inputs}
    loop: list[str] = []
    for held in estimate.inputs:
        loop += _random_input(held, given[held.name])
    arguments = ", ".join(given.values())
    if estimate.log:
        loop += [f"_, log = self.forward({arguments})", "logs.append(2 * log.flatten())"]
    else:
        loop += [
            f"y = self.forward({arguments})",
            "logs.append(2 * y.abs().float().log().flatten())",
        ]
    body = [
        '"""The logarithm of the mean square of the output on random inputs, an estimate.',
        "",
        "The exact one, by contracting the network with itself, costs too much here.",
        '"""',
        f"like = {members.read(rescaling.keys[0])}",
        "logs = []",
        f"for _ in range({estimate.chunks}):",
        *indented(loop),
        "squares = torch.cat(logs)",
        "return squares.logsumexp(0) - math.log(squares.numel())",
    ]
    return ["def _log_mean_square(self) -> Tensor:", *indented(body)]


def number(value: float) -> str:
    """A constant of the source: digits enough, and the same ones on every machine."""
    return repr(float(f"{value:.10g}"))


def _docstring(initialization: Initialization) -> list[str]:
    reasons: list[str] = []
    if initialization.chained:
        reasons.append(CHAINED)
    if initialization.rescaling is not None:
        reasons.append(RESCALED)
    if not reasons:
        return docstring([initialization.aim])
    return docstring([initialization.aim, "", *filled(" ".join(reasons), WIDTH - INDENT)])


def _draws(draws: dict[str, Draw], members: ParameterAccess) -> list[str]:
    """A statement, or a loop over parameters that start alike, for each draw."""
    alike: dict[tuple[Draw, bool], list[str]] = {}
    for key, draw in draws.items():
        parameter = members.by_key[key]
        split = isinstance(draw, NearIdentity) and draw.legs != parameter.shape
        alike.setdefault((draw, split), []).append(key)
    lines: list[str] = []
    for (draw, split), keys in alike.items():
        lines += _each(keys, members, draw, split)
    return lines


def _each(keys: Sequence[str], members: ParameterAccess, draw: Draw, split: bool) -> list[str]:
    if len(keys) == 1:
        return _start(members.read(keys[0]), draw, split)
    return [*_loop(keys, members), *indented(_start("tensor", draw, split))]


def _loop(keys: Sequence[str], members: ParameterAccess) -> list[str]:
    """The head of a loop over parameters, laid out as `ruff format` would."""
    items = members.listed(keys)
    alone = len(items) == 1 and items[0].startswith("*")
    flat = f"for tensor in {items[0][1:]}:" if alone else f"for tensor in [{', '.join(items)}]:"
    if len(flat) + INDENT <= WIDTH:
        return [flat]
    return ["for tensor in [", *(f"{TAB}{item}," for item in items), "]:"]


def _start(tensor: str, draw: Draw, split: bool) -> list[str]:
    """The statements that fill one parameter."""
    match draw:
        case Normal(std):
            return [f"{tensor}.normal_(std={number(std)})"]
        case Uniform(bound):
            return [f"{tensor}.uniform_(-{number(bound)}, {number(bound)})"]
        case Constant(value):
            return [f"{tensor}.fill_({value})" if value else f"{tensor}.zero_()"]
        case Matrix(orthogonal, rows, columns):
            if orthogonal:
                return [f"{tensor}.copy_(_orthogonal({tensor}, {rows}, {columns}))"]
            ones = f"{tensor}.view({rows}, {columns}).diagonal().fill_(1)"
            return [f"{tensor}.zero_()", ones]
        case NearIdentity(legs, bonds, scale, std):
            seen = f"{tensor}.view({', '.join(map(str, legs))})" if split else tensor
            if len(bonds) == 2:
                slices = f"{seen}.diagonal(dim1={bonds[0]}, dim2={bonds[1]})"
            else:
                slices = f"{seen}.select({bonds[0]}, 0)"
            return [f"{tensor}.normal_(std={number(std)})", f"{slices}.add_({number(scale)})"]
        case _:
            assert_never(draw)


def _rescale(rescaling: Rescaling, members: ParameterAccess) -> list[str]:
    """The factor from what is measured, and its use."""
    if isinstance(rescaling.measure, Estimate):
        measured, method = "log_mean_square", "_log_mean_square"
    else:
        measured, method = "log_square_norm", "_log_square_norm"
    lines = [f"{measured} = self.{method}()"]
    power = f"({number(rescaling.log_wanted)} - {measured}) / {2 * rescaling.uses}"
    lines += [
        f"scale = torch.exp({power})  # of each of {rescaling.uses} factors",
        f"scale = torch.where({measured}.isfinite(), scale, 1.0)",
    ]
    if len(rescaling.keys) == 1:
        return [*lines, f"{members.read(rescaling.keys[0])}.mul_(scale)"]
    return [*lines, *_loop(rescaling.keys, members), "    tensor.mul_(scale)"]


def _random_input(source: RandomInput, name: str) -> list[str]:
    """Statements that make one random input."""
    sizes = ", ".join(map(str, source.shape))
    if source.classes is not None:
        shape = f"({sizes},)" if len(source.shape) == 1 else f"({sizes})"
        return [f"{name} = torch.randint({source.classes}, {shape}, device=like.device)"]
    lines = [f"{name} = torch.randn({sizes}, dtype=like.dtype, device=like.device)"]
    if source.unit:
        axes = ", ".join(str(-k) for k in range(source.unit, 0, -1))
        across = f"({axes})" if source.unit > 1 else axes
        lines.append(f"{name} = {name} / {name}.norm(dim={across}, keepdim=True)")
    return lines
