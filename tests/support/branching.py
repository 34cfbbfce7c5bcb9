"""Modules with several programs, made on purpose: few rows, parts of the batch, other orders."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch

from tests.support.modules import Subject
from tests.support.strategies import random_tree
from tncompile.compiler import norm_program, plan_network, weight_program
from tncompile.emission import GeneratedModule, emit
from tncompile.emission.loading import instantiate
from tncompile.initialization.draws import initialize
from tncompile.lowering import lower
from tncompile.lowering.schedule import Schedule
from tncompile.planning.request import plan_request
from tncompile.program.program import TensorProgram
from tncompile.program.variants import Branch, Branches

FEW, SOME = 2, 8
"""Up to how many rows the first two branches of a mode go."""


@dataclass(frozen=True)
class Branching(Subject):
    """A subject whose modules run one of five programs."""

    @property
    def generated(self) -> GeneratedModule:
        """Its source."""
        return _generated(self)

    def module(
        self,
        dtype: torch.dtype = torch.float32,
        seed: int | None = 0,
        device: str | None = None,
        batch_invariant: bool = False,
    ) -> torch.nn.Module:
        """A module of its own."""
        return instantiate(
            self.generated, dtype=dtype, seed=seed, device=device, batch_invariant=batch_invariant
        )


def programs(subject: Subject) -> tuple[TensorProgram, ...]:
    """Five ways to contract the network, two of them part by part where that can be.

    In the first two the gradient of every result is made row major.
    """
    net = subject.network
    trees = [random_tree(net, seed) for seed in (1, 2, 3)]
    settled = [
        Schedule(contiguous_grads=tuple(step.result for step in tree.steps)) for tree in trees[:2]
    ]
    return (
        lower(net, trees[0], settled[0]),
        lower(net, trees[1], settled[1]),
        lower(net, trees[2], Schedule(chunk_rows=3)),
        lower(net, trees[2]),
        lower(net, trees[0], Schedule(chunk_rows=4)),
    )


def branches(subject: Subject) -> Branches:
    """The programs by mode and batch size."""
    whole, first, second, third, last = programs(subject)
    return Branches(
        whole,
        training=(Branch(first, FEW, "few rows"), Branch(second, None, "three rows at a time")),
        inference=(
            Branch(third, FEW, "hardly any rows, and a reason that is so long that it has to stand"
                               " on a line of its own"),
            Branch(first, SOME, "some rows"),
            Branch(last, None, "four rows at a time"),
        ),
        folded=(Branch(second, FEW, "few rows"), Branch(last, None, "four rows at a time")),
    )  # fmt: skip


@cache
def _generated(subject: Branching) -> GeneratedModule:
    net = subject.network
    planned = plan_network(net, plan_request(net, search="fast"))
    start = initialize(net, norm_program)
    return emit(net, planned, branches(subject), start, weigh=weight_program)


BRANCHING = tuple(
    Branching(file, target)
    for file, target in (
        ("linear", "MPO(ins = [2, 3], outs = [3, 2], ranks = 2)"),
        ("linear", "BilinearTN(4, 3, 5, rank = 2)"),
        ("embedding", "TTEmbedding(rows = [3, 4], columns = [2, 3], ranks = 2)"),
        ("classifier", "MPSClassifier(sites = 6, rank = 3, classes = 3)"),
        ("oddities", "Names"),
        ("oddities", "Scores"),
        ("oddities", "Shared"),
        ("oddities", "Log"),
        ("oddities", "State"),
        ("oddities", "Member"),
    )
)
