"""Hooks of a cell: they see every step of a `scan`."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor
from torch.nn.modules.module import register_module_forward_hook

from tests.support.scans import GRU, ONE, TWO_STATES, agree, module_of


@pytest.mark.parametrize("text", [GRU + ONE, TWO_STATES], ids=["gru", "two states"])
def test_hooks_of_a_cell_see_every_step(text: str) -> None:
    module = module_of(text)
    name = "cell" if "wx" in text else "cell.0"
    cell = module.get_submodule(name)
    widths = [3] if "wx" in text else [2, 3]
    xs = [torch.randn(2, 5, width, dtype=torch.float64, requires_grad=True) for width in widths]
    seen: list[str] = []
    handles = [
        cell.register_forward_pre_hook(lambda *_: seen.append("before")),
        cell.register_forward_hook(lambda *_: seen.append("after")),
        cell.register_full_backward_hook(lambda *_: seen.append("back")),
    ]
    made = list(module(*xs))
    for handle in handles[:2]:
        handle.remove()
    assert seen == ["before", "after"] * 5
    plain = copy.deepcopy(module)
    plain.get_submodule(name)._backward_hooks.clear()
    agree(made, list(plain(*xs)), xs)
    assert seen[10:] == ["back"] * 5


@pytest.mark.parametrize("how", ["all modules", "another forward", "compiled"])
def test_what_else_waits_for_calls_of_a_cell(how: str) -> None:
    module = module_of(GRU + ONE)
    cell = module.get_submodule("cell")
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    due, seen = list(module(x)), []
    whole = cell.forward

    def counted(*given: Tensor) -> Tensor:
        seen.append(1)
        made: Tensor = whole(*given)
        return made

    handle = None
    match how:
        case "all modules":
            handle = register_module_forward_hook(
                lambda given, *_: seen.append(1) if given is cell else None
            )
        case "another forward":
            cell.forward = counted
        case _:
            cell._compiled_call_impl = counted
    try:
        agree(list(module(x)), due, list(module.parameters()))
    finally:
        if handle:
            handle.remove()
    assert len(seen) == 5
