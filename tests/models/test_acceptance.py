"""The acceptance models: what they return, their gradients, keys and copies, beside their twins."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.export import Dim

import tncompile
from tests.acceptance.models.case import Case, Result
from tests.acceptance.models.cases import CASES

FOLDER = Path(__file__).parents[1] / "acceptance" / "models"

BY_NAME = {case.name: case for case in CASES}


@dataclass(frozen=True)
class Tried:
    """A case with its module, of random entries, and what it returned."""

    case: Case
    warnings: tuple[str, ...]
    module: nn.Module
    other: nn.Module
    inputs: tuple[Tensor, ...]
    results: tuple[Tensor, ...]

    def drawn(self, **sizes: int) -> tuple[Tensor, ...]:
        """Other inputs."""
        return self.case.inputs(generator(2), **sizes)


class Reading(Mapping[str, Tensor]):
    """A state dict that knows which keys were read."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        self.state = state
        self.read: set[str] = set()

    def __getitem__(self, key: str) -> Tensor:
        self.read.add(key)
        return self.state[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.state)

    def __len__(self) -> int:
        return len(self.state)


@cache
def tried(name: str) -> Tried:
    """A case, compiled once for all that is asked of it."""
    case = BY_NAME[name]
    made = tncompile.load(FOLDER / case.file).instantiate(case.block, **case.arguments)
    module, other = (
        made.module(dtype=torch.float64, seed=seed, search="fast").eval() for seed in (0, 1)
    )
    randomize(module, generator(0))
    inputs = case.inputs(generator(1))
    results = flat(module(*inputs))
    codes = tuple(warning.code.value for warning in made.warnings)
    return Tried(case, codes, module, other, inputs, results)


def generator(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


def flat(result: Result) -> tuple[Tensor, ...]:
    return result if isinstance(result, tuple) else (result,)


@torch.no_grad()
def randomize(module: nn.Module, drawn: Generator) -> None:
    """Draw all floats anew, so that no start of zeros hides a mistake."""
    for key, tensor in module.state_dict().items():
        if tensor.is_floating_point() or tensor.is_complex():
            tensor.copy_(torch.randn(tensor.shape, generator=drawn, dtype=tensor.dtype) * 0.3)
        if key.endswith("running_var"):
            tensor.abs_().add_(0.5)


def close(made: Sequence[Tensor | None], due: Sequence[Tensor | None], tolerance: float) -> None:
    """Number by number; a missing gradient is one of zeros."""
    for one, other in zip(made, due, strict=True):
        present = one if one is not None else other
        if present is None:
            continue
        pair = [torch.zeros_like(present) if each is None else each for each in (one, other)]
        torch.testing.assert_close(*pair, rtol=tolerance, atol=tolerance)


def of(wanted: Callable[[Case], object]) -> pytest.MarkDecorator:
    """The names of the cases that have this."""
    return pytest.mark.parametrize("name", [case.name for case in CASES if wanted(case)])


def test_names_are_told_apart() -> None:
    assert len(BY_NAME) == len(CASES)


@of(lambda case: True)
def test_values_and_keys_are_those_of_the_twin(name: str) -> None:
    """The twin reads all keys and no others: they are part of the language."""
    one = tried(name)
    state = Reading(one.module.state_dict())
    close(one.results, flat(one.case.twin(state, *one.inputs)), 1e-9)
    assert {key for key in state if not key.endswith("num_batches_tracked")} == state.read


@of(lambda case: True)
def test_gradients_are_those_of_the_twin(name: str) -> None:
    """Of all inputs and trained parameters, for random weights of all results."""
    one = tried(name)
    inputs = [
        x.clone().requires_grad_() if x.is_floating_point() or x.is_complex() else x
        for x in one.inputs
    ]
    leaves = [x for x in inputs if x.requires_grad]
    leaves += [each for each in one.module.parameters() if each.requires_grad]

    def gradients(result: Result) -> tuple[Tensor | None, ...]:
        weights = generator(3)
        total = torch.zeros((), dtype=torch.float64)
        for each in flat(result):
            if each.requires_grad:
                parts = torch.view_as_real(each) if each.is_complex() else each
                drawn = torch.randn(parts.shape, generator=weights, dtype=torch.float64)
                total = total + (parts * drawn).sum()
        return torch.autograd.grad(total, leaves, allow_unused=True)

    twin = one.case.twin(one.module.state_dict(keep_vars=True), *inputs)
    if leaves:
        close(gradients(one.module(*inputs)), gradients(twin), 1e-8)


@of(lambda case: True)
def test_what_is_frozen_and_nothing_else_has_no_gradient(name: str) -> None:
    one = tried(name)
    for key, parameter in one.module.named_parameters():
        assert parameter.requires_grad == (not key.startswith(one.case.frozen or "-")), key


@of(lambda case: True)
def test_warnings_are_those_of_the_case(name: str) -> None:
    one = tried(name)
    found = {code for code in one.warnings if code.startswith("TN6")}
    assert found == set(one.case.warnings)


@of(lambda case: case.loose)
def test_other_run_time_sizes(name: str) -> None:
    one = tried(name)
    inputs = one.drawn(**one.case.loose)
    due = one.case.twin(one.module.state_dict(), *inputs)
    close(flat(one.module(*inputs)), flat(due), 1e-9)


@of(lambda case: case.refused)
def test_sizes_that_are_refused(name: str) -> None:
    one = tried(name)
    with pytest.raises(ValueError, match=r"."):
        one.module(*one.drawn(**one.case.refused))


@of(lambda case: True)
def test_state_dicts_and_copies_give_the_same_to_the_bit(name: str) -> None:
    one = tried(name)
    one.other.load_state_dict(one.module.state_dict(), strict=True)
    copies = [one.other, copy.deepcopy(one.module), pickle.loads(pickle.dumps(one.module))]
    own = {each.untyped_storage().data_ptr() for each in one.module.state_dict().values()}
    for other in copies:
        close(flat(other(*one.inputs)), one.results, 0.0)
        assert list(other.state_dict()) == list(one.module.state_dict())
        held = {each.untyped_storage().data_ptr() for each in other.state_dict().values()}
        assert not (own - {0}) & held


SMALL = ("sharing.tn", "sizes.tn", "functions.tn")
"""Files whose models are compiled in a moment; the larger ones are in `test_capabilities`."""


@of(lambda case: case.file in SMALL)
@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.. is deprecated")
def test_compilers_take_other_sizes(name: str) -> None:
    """`torch.compile` and `torch.export`, with dynamic axes wherever the two calls differ."""
    one = tried(name)
    torch._dynamo.reset()
    calls = (one.inputs, one.drawn(**one.case.loose))
    shapes = tuple(
        {k: Dim.AUTO for k, sizes in enumerate(zip(*pair, strict=True)) if sizes[0] != sizes[1]}
        for pair in zip(*([x.shape for x in call] for call in calls), strict=True)
    )
    made = torch.compile(one.module, backend="eager", fullgraph=True, dynamic=True)
    exported = torch.export.export(one.module, one.inputs, dynamic_shapes=shapes).module()
    for inputs in calls:
        due = flat(one.module(*inputs))
        close(flat(made(*inputs)), due, 1e-9)
        close(flat(exported(*inputs)), due, 1e-9)
