"""The acceptance programs: values, gradients and state dicts equal the sum of products."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import tncompile
from tests.acceptance import ACCEPTANCE
from tests.acceptance.reference import cases, random_tensors, reference

CASES: list[tuple[str, dict[str, Any]]] = cases(ACCEPTANCE / "good")


@cache
def architecture(name: str) -> tncompile.Architecture:
    """What a case instantiates, planned once for all tests."""
    case = dict(CASES)[name]
    return tncompile.load(ACCEPTANCE / "good" / case["file"]).instantiate(
        case["block"], **case["arguments"]
    )


def compare(module: torch.nn.Module, case: dict[str, Any], seed: int) -> None:
    """Output and gradients of the module equal the reference to 1e-10, relative to the largest."""
    parameters, inputs = random_tensors(case, seed)
    frozen = set(case.get("frozen", ()))
    module.load_state_dict(parameters)
    leaves = {
        name: value.requires_grad_() if value.is_floating_point() else value
        for name, value in inputs.items()
    }
    made = module(*leaves.values())
    weights = torch.randn(made.shape, dtype=torch.float64)
    held = dict(module.named_parameters())
    wanted = [*held.values(), *(x for x in leaves.values() if x.requires_grad)]
    gradients = torch.autograd.grad((made * weights).sum(), wanted, allow_unused=True)

    fresh = {
        key: value.clone().requires_grad_(key not in frozen) for key, value in parameters.items()
    }
    due = reference(case, fresh, leaves)
    again = [*(fresh[key] for key in held), *(x for x in leaves.values() if x.requires_grad)]
    due_gradients = torch.autograd.grad((due * weights).sum(), again, allow_unused=True)

    assert list(made.shape) == case["output_shape"]
    _close(made, due)
    for one, other in zip(gradients, due_gradients, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            _close(one, other)


def _close(one: Tensor, other: Tensor) -> None:
    scale = max(1e-30, float(other.detach().abs().max())) if other.numel() else 1.0
    torch.testing.assert_close(one / scale, other / scale, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("name", "case"), CASES, ids=[name for name, _ in CASES])
def test_module_equals_the_sum_of_products(name: str, case: dict[str, Any]) -> None:
    arch = architecture(name)
    assert arch.warnings == ()
    module = arch.module(dtype=torch.float64)
    shapes = {key: list(value.shape) for key, value in module.state_dict().items()}
    assert shapes == case["parameters"]
    assert {key for key, _ in module.named_buffers()} == set(case.get("frozen", ()))
    compare(module, case, seed=1)


@pytest.mark.parametrize(("name", "case"), CASES, ids=[name for name, _ in CASES])
def test_source_alone_gives_the_same(name: str, case: dict[str, Any], tmp_path: Path) -> None:
    arch = architecture(name)
    file = tmp_path / "emitted.py"
    file.write_text(arch.source(), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("emitted", file)
    assert spec is not None
    assert spec.loader is not None
    emitted = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(emitted)
    classes = [
        value
        for value in vars(emitted).values()
        if isinstance(value, type)
        and issubclass(value, torch.nn.Module)
        and value.__module__ == "emitted"
        and not value.__name__.endswith("Folded")
    ]
    module = classes[-1](dtype=torch.float64)
    compare(module, case, seed=3)


@pytest.mark.parametrize(("name", "case"), CASES, ids=[name for name, _ in CASES])
def test_every_way_to_plan_gives_the_same(name: str, case: dict[str, Any]) -> None:
    """The fast search plans for the batch alone: what is for 4,096 rows runs here, too."""
    arch = architecture(name)
    for minimize in ("flops", "memory"):
        for batch in (1, 4096):
            module = arch.module(dtype=torch.float64, batch=batch, minimize=minimize, search="fast")
            compare(module, case, seed=2)
