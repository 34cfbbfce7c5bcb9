"""Tensors of more axes than fit a line, and than the 64 that some reductions of torch take."""

from __future__ import annotations

import pytest
import torch

import tncompile
from tests.support.capabilities import close
from tests.support.modules import tensors

BODIES = {
    "a parameter": (", o = 2", "tensor W(i[*], o)\n output y(o, i[*])"),
    "a product": (
        ", j = 3, o = 2",
        "input x(j)\n tensor W(i[*], j)\n tensor V(j, o)\n output y(i[*], o)",
    ),
    "an input": (", j = 3, o = 2", "input x(i[*], j)\n tensor V(j, o)\n output y(i[*], o)"),
    "an input with leading axes": (
        ", j = 3, o = 2",
        "input x(..., i[*], j)\n tensor V(j, o)\n output y(..., i[*], o)",
    ),
    "two inputs with leading axes": (
        ", j = 3, o = 2",
        "input x(..., i[*], j)\n input z(..., i[*])\n tensor V(j, o)\n output y(..., i[*], o)",
    ),
    "a batch axis": (
        ", j = 3, o = 2",
        "batch n\n input x(n, i[*], j)\n tensor V(j, o)\n output y(n, i[*], o)",
    ),
    "a bias": (
        ", j = 3",
        "input x(..., j)\n tensor W(i[*], j)\n bias c(i[*])\n output y(..., i[*])",
    ),
    "entries": ("", "tensor W(i[*])\n tensor V(i[*])\n output y(i[*])"),
    "a row by its id": (
        ", j = 3",
        "input x(..., onehot(j))\n tensor W(j, i[*])\n output y(..., i[*])",
    ),
    "a logarithm": (", j = 3", "input x(..., j)\n tensor W(i[*], j)\n output y(..., i[*]) log"),
    "a logarithm alone": (
        ", o = 2",
        "bond j = 3\n tensor W(i[*], j)\n tensor V(j, o)\n output y(i[*], o) log",
    ),
}


@pytest.mark.parametrize("count", [30, 70])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_tensors_of_many_axes_run(body: tuple[str, str], count: int) -> None:
    """The same as with two axes: all of these have length 1."""
    made = []
    for axes in (2, count):
        text = f"network N() {{\n index i[k in 0..{axes}] = 1{body[0]}\n {body[1]}\n}}"
        network = tncompile.loads(text).instantiate()
        module = network.module(seed=0, dtype=torch.float64, search="fast")
        with torch.no_grad():
            for parameter in module.parameters():
                entries = torch.arange(1.0, parameter.numel() + 1).reshape(parameter.shape)
                parameter.copy_(entries.cos())
        inputs = []
        for given in network.network.inputs:
            shape = [axis.length or 5 for axis in given.axes if axis.kind != "onehot"]
            if given.integer:
                inputs.append(torch.arange(5) % 3)
                continue
            values = torch.arange(1.0, torch.Size(shape).numel() + 1, dtype=torch.float64)
            inputs.append(values.sin().reshape(shape))
        y = module(*inputs)
        made.append([part.flatten() for part in tensors(y)])
        close([part.flatten() for part in tensors(module.fold()(*inputs))], made[-1])
        tensors(y)[-1].sum().backward()
        assert all(one.grad is not None for one in module.parameters())
    for one, other in zip(*made, strict=True):
        close(one, other, 1e-9)


def test_a_state_of_many_sites_is_that_of_its_parts() -> None:
    text = """network S(n: int = 12) {
      index  s[k in 0..n] = 2, t[k in 0..20] = 1
      bond   b[k in 0..n - 1] = 2
      tensor A[k in 0..n](b[k - 1]?, s[k], b[k]?)
      tensor B(t[*])
      output y(t[*], s[*])
    }"""
    module = tncompile.loads(text).instantiate().module(seed=0, dtype=torch.float64)
    state = module.A[0]
    for k in range(1, 11):
        state = torch.einsum("...a,asb->...sb", state, module.A[k])
    state = torch.einsum("...a,as->...s", state, module.A[11]) * module.B.flatten()
    for held in (module, module.fold()):
        y = held()
        assert y.shape == (*[1] * 20, *[2] * 12)
        close(y.flatten(), state.flatten())
