"""Convolutions of real and complex images and kernels, held against brute force in complex128."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.support.complex_networks import with_complex
from tests.support.windows import (
    Convolution,
    cp,
    dense,
    depthwise,
    generated,
    grouped,
    meaning,
    train,
    tucker2,
    window,
)
from tncompile.emission.loading import instantiate
from tncompile.network.windows import Window
from tncompile.program.interpreter import run_program
from tncompile.program.verifying import verify_program

FORMS: dict[str, Callable[[Sequence[Window]], Convolution]] = {
    "tucker2": tucker2,
    "cp": cp,
    "depthwise": depthwise,
    "grouped": grouped,
    "dense": dense,
    "train": train,
}

WINDOWS: dict[str, tuple[Window, ...]] = {
    "one": (window("h", 3, padding=1, stride=2),),
    "two": (window("h", 3, left=2, right=1), window("w", 2, dilation=2, mode="circular", left=2)),
    "reflected": (window("h", 3, padding=1, mode="reflect"), window("w", 3, padding=1)),
    "three": (window("h", 2), window("w", 2, stride=2), window("d", 3, padding=1)),
    "transposed": (
        window("h", 3, stride=2, padding=1, extra=1, transposed=True),
        window("w", 2, transposed=True),
    ),
}


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(sorted(FORMS)),
    st.sampled_from(sorted(WINDOWS)),
    st.integers(0, 2**20),
    st.booleans(),
)
def test_values_and_gradients(form: str, windows: str, seed: int, complex_image: bool) -> None:
    made = FORMS[form](WINDOWS[windows])
    rng = torch.Generator().manual_seed(seed)
    families = [p.family for p in made.network.parameters]
    chosen = [name for name in families if torch.rand(1, generator=rng) < 0.5] or families[:1]
    subject = Convolution(with_complex(made.network, chosen), made.orders)
    parameters = {
        p.key: torch.randn(
            p.shape, dtype=torch.complex128 if p.complex else torch.float64, generator=rng
        ).requires_grad_()
        for p in subject.network.parameters
    }
    kind = torch.complex128 if complex_image else torch.float64
    channels = [axis.size for axis in subject.network.inputs[0].axes if axis.size is not None]
    shape = (2, *channels, *range(6, 6 + len(WINDOWS[windows])))
    x = torch.randn(shape, dtype=kind, generator=rng).requires_grad_()
    leaves = [x, *parameters.values()]
    due = meaning(subject.network, parameters, x)
    assert due.is_complex()

    def gradients(value: Tensor) -> tuple[Tensor, ...]:
        loss = (value * (0.3 + 0.7j)).real.sum() + value.abs().square().sum()
        return torch.autograd.grad(loss, leaves, retain_graph=True)

    wanted = gradients(due)
    for program in subject.programs():
        verify_program(program)
        value = run_program(subject.network, program, parameters, {"x": x})
        module = instantiate(generated(subject.network, program), dtype=torch.float64)
        emitted = torch.func.functional_call(module, parameters, (x,))
        for result in (value, emitted):
            assert isinstance(result, Tensor)
            torch.testing.assert_close(result, due, atol=1e-10, rtol=1e-10)
            for one, other in zip(gradients(result), wanted, strict=True):
                torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-10)


@pytest.mark.parametrize("last", [False, True], ids=["row major", "channels last"])
def test_images_of_either_format(last: bool) -> None:
    made = tucker2(WINDOWS["reflected"])
    net = with_complex(made.network, {"K"})
    parameters = {
        p.key: torch.randn(p.shape, dtype=torch.complex128 if p.complex else torch.float64)
        for p in net.parameters
    }
    x = torch.randn(2, 4, 6, 7, dtype=torch.float64)
    x = x.to(memory_format=torch.channels_last) if last else x
    due = meaning(net, parameters, x)
    for program in Convolution(net, made.orders).programs():
        module = instantiate(generated(net, program), dtype=torch.float64)
        module.load_state_dict(parameters)
        for image in (x, x.to(torch.complex128)):
            torch.testing.assert_close(module(image), due, atol=1e-10, rtol=1e-10)
