"""The models of the library: each against a twin in plain torch, and as torch's tools take it."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor, nn

import tncompile
from tests.models.test_acceptance import Reading, close, flat, generator, randomize
from tests.std import others, transformers
from tests.std.case import Case
from tests.test_std import name

CASES = (*transformers.CASES, *others.CASES)
FILES = tuple(dict.fromkeys(case.file for case in CASES))

tried = pytest.mark.parametrize("case", CASES, ids=lambda case: case.target)


@cache
def spec(file: str) -> tncompile.Spec:
    return tncompile.load(f"std/{file}.tn")


@cache
def made(case: Case) -> nn.Module:
    """The module of a case in evaluation, of random entries; checked to be without warnings."""
    program = tncompile.loads(case.text) if case.text else spec(case.file)
    architecture = program.instantiate("Mine" if case.text else case.target)
    assert architecture.warnings == ()
    module = architecture.module(dtype=torch.float64, seed=0, search="fast").eval()
    randomize(module, generator(0))
    return module


@tried
def test_values_and_keys_are_those_of_the_twin(case: Case) -> None:
    module = made(case)
    for sizes in ({}, dict(case.loose)):
        inputs = case.inputs(generator(1), **sizes)
        state = Reading(module.state_dict())
        due = flat(case.twin(state, *inputs))
        close(flat(module(*inputs)), due, 1e-9)
        assert {key for key in state if not key.endswith("num_batches_tracked")} == state.read


@tried
def test_gradients_are_those_of_the_twin(case: Case) -> None:
    module = made(case)
    inputs = [
        x.requires_grad_() if x.is_floating_point() or x.is_complex() else x
        for x in case.inputs(generator(1))
    ]
    trained = {key: p for key, p in module.named_parameters() if p.requires_grad}
    frozen = [key for key, p in module.named_parameters() if not p.requires_grad]
    assert all(key.startswith(case.frozen or ("-",)) for key in frozen)
    assert not any(key.startswith(case.frozen or ("-",)) for key in trained)
    leaves = [*(x for x in inputs if x.requires_grad), *trained.values()]
    if not leaves:
        return

    def gradients(results: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
        drawn, total = generator(3), torch.zeros((), dtype=torch.float64)
        for each in results:
            parts = torch.view_as_real(each) if each.is_complex() else each
            weights = torch.randn(parts.shape, generator=drawn, dtype=torch.float64)
            total = total + (parts * weights).sum()
        return torch.autograd.grad(total, leaves, allow_unused=True)

    due = gradients(flat(case.twin(module.state_dict(keep_vars=True), *inputs)))
    close(gradients(flat(module(*inputs))), due, 1e-8)


def test_every_block_is_tested_and_names_its_paper() -> None:
    offered = {block: held.doc for file in FILES for block, held in spec(file).blocks.items()}
    own = {block for block in offered if block not in IMPORTED}
    assert own == {name(case.target) for case in CASES}
    for block in own:
        doc = offered[block]
        assert doc is not None
        summary, _, rest = doc.strip().partition("\n\n")
        assert "\n" not in summary, block
        assert "arXiv:" in rest or block in OLDER, block


IMPORTED = {"MPO", "TTEmbedding", "Monarch", "Tucker2Conv"}
"""Blocks of networks that the files use; test_std.py has them."""

OLDER = {"LSTMCell", "LSTMLayers", "LanguageModel"}
"""Blocks whose papers are not on arXiv."""
