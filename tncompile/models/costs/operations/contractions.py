"""What `network { … }` costs: products of two operands at a time, as they are emitted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tncompile.models.contracting import Names, SumOfProducts, names_of
from tncompile.models.costs.operations.functions import permuted, reshaped
from tncompile.models.costs.operations.job import Job, Outcome, Rule, joined, reduced
from tncompile.models.costs.operations.products import matmul
from tncompile.planning.paths.problem import Path
from tncompile.simulation.rules import Gradients
from tncompile.simulation.tensors import Shape, SymbolicTensor


def contract(
    job: Job, products: SumOfProducts, order: Path, rows: int, sizes: Mapping[str, int]
) -> Outcome:
    """The sum of products of the operands; with one and nothing to sum, a reordering."""
    lengths = products.lengths(rows, sizes)
    output = names_of(products.output)
    chain = _Chain(job, lengths)
    left: list[tuple[int, Names] | None] = []
    for k, (legs, term) in enumerate(zip(products.legs, products.terms, strict=True)):
        names = names_of(legs)
        slot = chain.step(reshaped, [k], _shape(names, lengths))
        left.append(chain.summed(slot, names, term))
    for one, two in order:
        first, second = left[one], left[two]
        assert first is not None
        assert second is not None
        left[one] = left[two] = None
        needed = {name for each in left if each is not None for name in each[1]}
        left.append(chain.product(first, second, needed.union(output)))
    whole = left[-1]
    assert whole is not None
    slot = chain.ordered(*whole, output)
    chain.step(reshaped, [slot], job.shapes[0])
    return chain.outcome()


def _shape(names: Names, lengths: Mapping[str, int]) -> Shape:
    return tuple(lengths[name] for name in names)


class _Chain:
    """Operations one after another, which are one to whoever calls them."""

    def __init__(self, job: Job, lengths: Mapping[str, int]) -> None:
        self.job, self.lengths = job, lengths
        self.tensors: list[SymbolicTensor] = [*job.operands]
        self.needs = [*job.requires_grad]
        self.nodes: list[tuple[Outcome, tuple[int, ...], int]] = []

    def step(self, rule: Rule, slots: Sequence[int], shape: Shape) -> int:
        """One more operation, on operands of the job and earlier results, by number."""
        tensors = [self.tensors[slot] for slot in slots]
        width = max(tensor.width for tensor in tensors)
        inner = Job(
            self.job.kernels,
            tensors,
            tuple(self.needs[slot] for slot in slots),
            (shape,),
            (width,),
            training=self.job.training,
        )
        outcome = rule(inner)
        self.tensors.append(outcome.result)
        self.needs.append(inner.recorded)
        self.nodes.append((outcome, tuple(slots), len(self.tensors) - 1))
        return len(self.tensors) - 1

    def ordered(self, slot: int, names: Names, order: Names) -> int:
        """The axes in another order."""
        if names == order:
            return slot
        places = [names.index(name) for name in order]
        return self.step(permuted(places), [slot], _shape(order, self.lengths))

    def summed(self, slot: int, names: Names, rest: Names) -> tuple[int, Names]:
        """The sum over legs that no one else has."""
        if rest == names:
            return slot, names
        return self.step(reduced(repeated=True), [slot], _shape(rest, self.lengths)), rest

    def product(
        self, left: tuple[int, Names], right: tuple[int, Names], kept: set[str]
    ) -> tuple[int, Names]:
        """Two factors multiplied, as a stack of matrices."""
        (one, first), (two, second) = left, right
        stack = tuple(name for name in first if name in second and name in kept)
        inner = tuple(name for name in first if name in second and name not in kept)
        rows = tuple(name for name in first if name not in second)
        columns = tuple(name for name in second if name not in first)
        if not inner:
            return self._multiplied(left, right, stack + rows + columns)
        count = [math.prod(_shape(each, self.lengths)) for each in (stack, rows, inner, columns)]
        one = self.ordered(one, first, stack + rows + inner)
        two = self.ordered(two, second, stack + inner + columns)
        one = self.step(reshaped, [one], (count[0], count[1], count[2]))
        two = self.step(reshaped, [two], (count[0], count[2], count[3]))
        both = self.step(matmul, [one, two], (count[0], count[1], count[3]))
        names = stack + rows + columns
        return self.step(reshaped, [both], _shape(names, self.lengths)), names

    def _multiplied(
        self, left: tuple[int, Names], right: tuple[int, Names], names: Names
    ) -> tuple[int, Names]:
        """The product of two factors with nothing to sum."""
        slots = []
        for slot, own in (left, right):
            order = tuple(name for name in names if name in own)
            slot = self.ordered(slot, own, order)
            wide = tuple(self.lengths[name] if name in own else 1 for name in names)
            slots.append(self.step(reshaped, [slot], wide))
        shape = _shape(names, self.lengths)
        self.job.kernels.work.multiply_adds += math.prod(shape)
        return self.step(joined(factors=True), slots, shape), names

    def outcome(self) -> Outcome:
        """All of it as one operation."""
        kernels, count = self.job.kernels, len(self.job.operands)
        recorded = [node for node in self.nodes if self.needs[node[2]]]

        def backward(gradient: SymbolicTensor) -> Gradients:
            gradients: dict[int, SymbolicTensor] = {
                len(self.tensors) - 1: kernels.memory.keep(gradient)
            }
            for outcome, slots, made in reversed(recorded):
                arrived = gradients.pop(made)
                sent = outcome.backward(arrived)
                kernels.memory.free(arrived)
                for slot, each in zip(slots, sent, strict=True):
                    if each is not None and not self.needs[slot]:
                        kernels.memory.free(each)
                    elif each is not None:
                        gradients[slot] = each
            return [gradients.get(k) for k in range(count)]

        result = self.tensors[-1]
        saved = tuple(tensor for outcome, _, _ in recorded for tensor in outcome.saved)
        scratch = [tensor for outcome, _, _ in self.nodes for tensor in outcome.scratch]
        scratch += [outcome.result for outcome, _, _ in self.nodes[:-1]]
        return Outcome(result, backward, saved, scratch=tuple(scratch))
