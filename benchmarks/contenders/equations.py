"""One einsum equation, by torch.einsum, opt_einsum and cotengra."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.contenders.installed import package
from benchmarks.contract import Contender, Kind, Parameters, Run, in_order

LABELS = 52
"""torch.einsum knows as many indices."""


@dataclass(frozen=True)
class Equation:
    """Indices by name: of the inputs, of the parameters in their order, of the output.

    `views` makes the operands out of the inputs of the network, and `flatten` is how many axes the
    output has in front of those that are flattened to one.
    """

    inputs: tuple[tuple[str, ...], ...]
    parameters: tuple[tuple[str, ...], ...]
    output: tuple[str, ...]
    views: Callable[..., Sequence[Tensor]]
    leading: int = 1

    @property
    def labels(self) -> dict[str, int]:
        """A number for every index."""
        names = [name for term in (*self.inputs, *self.parameters) for name in term]
        return {name: k for k, name in enumerate(dict.fromkeys(names))}

    def terms(self) -> tuple[list[list[int]], list[int]]:
        """The operands and the output as numbers of indices."""
        labels = self.labels
        terms = [[labels[n] for n in term] for term in (*self.inputs, *self.parameters)]
        return terms, [labels[n] for n in self.output]

    def text(self, symbol: Callable[[int], str]) -> str:
        """The equation as a string."""
        terms, output = self.terms()
        return "->".join(
            [",".join("".join(map(symbol, t)) for t in terms), "".join(map(symbol, output))]
        )

    def flat(self, y: Tensor) -> Tensor:
        """The output as the network has it."""
        return y.reshape(*y.shape[: self.leading], -1) if y.dim() > self.leading + 1 else y


def equations(
    equation: Equation,
    leaves: Callable[[Parameters], Sequence[Tensor]] = in_order,
    suits: Callable[[int], bool] = lambda batch: True,
) -> tuple[Contender, ...]:
    """The three libraries on one equation; torch.einsum only where it has the letters."""
    made = [
        Contender("opt_einsum", Kind.PEER, leaves, lambda h: _opt_einsum(equation, h), suits=suits),
        Contender(
            "cotengra",
            Kind.PEER,
            leaves,
            lambda h: _cotengra(equation, h, fold=False),
            lambda h: _cotengra(equation, h, fold=True),
            suits,
        ),
    ]
    if len(equation.labels) <= LABELS:
        plain = Contender(
            "torch.einsum", Kind.PEER, leaves, lambda h: _torch_einsum(equation, h), suits=suits
        )
        made.insert(0, plain)
    return tuple(made)


def _torch_einsum(equation: Equation, held: Sequence[Tensor]) -> Run:
    package("opt_einsum")  # torch takes its paths where it is installed
    text = equation.text(lambda k: chr(ord("a") + k) if k < 26 else chr(ord("A") + k - 26))
    return lambda *inputs: equation.flat(torch.einsum(text, *equation.views(*inputs), *held))


def _opt_einsum(equation: Equation, held: Sequence[Tensor]) -> Run:
    library = package("opt_einsum")
    text = equation.text(library.get_symbol)
    expressions: dict[tuple[int, ...], Callable[..., Tensor]] = {}

    def run(*inputs: Tensor) -> Tensor:
        viewed = equation.views(*inputs)
        key = tuple(viewed[0].shape)
        if key not in expressions:
            shapes = [tuple(t.shape) for t in (*viewed, *held)]
            expressions[key] = library.contract_expression(text, *shapes, optimize="auto")
        return equation.flat(expressions[key](*viewed, *held, backend="torch"))

    return run


def _cotengra(equation: Equation, held: Sequence[Tensor], fold: bool) -> Run:
    library = package("cotengra")
    terms, output = equation.terms()
    first = len(equation.inputs)
    expressions: dict[tuple[int, ...], Callable[..., Tensor]] = {}

    def run(*inputs: Tensor) -> Tensor:
        viewed = equation.views(*inputs)
        key = tuple(viewed[0].shape)
        if key not in expressions:
            constants = {first + k: leaf.detach() for k, leaf in enumerate(held)}
            expressions[key] = library.array_contract_expression(
                terms,
                output,
                shapes=[tuple(t.shape) for t in (*viewed, *held)],
                optimize="auto",
                constants=constants if fold else None,
            )
        return equation.flat(expressions[key](*viewed, *(() if fold else held)))

    return run
