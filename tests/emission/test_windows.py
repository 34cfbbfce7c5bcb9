"""Emitted convolutions: every order, every mode and every way to run them mean the same."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import tncompile
from tests.support.emitted import run_alone
from tests.support.windows import (
    Convolution,
    biased,
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
from tncompile.network.windows import Window

MAKERS = {
    "dense": dense,
    "tucker2": tucker2,
    "cp": cp,
    "train": train,
    "depthwise": depthwise,
    "grouped": grouped,
}

WINDOWS = {
    "1d": [window("h", 3, padding=1)],
    "1d-causal": [window("h", 4, left=6, dilation=2)],
    "2d": [window("h", 3, stride=2, padding=1), window("w", 5, padding=2)],
    "2d-uneven": [window("h", 2, left=1, stride=3), window("w", 3, right=2, dilation=2)],
    "2d-valid": [window("h", 3), window("w", 1, stride=2)],
    "3d": [window("d", 2, right=1), window("h", 3, padding=1), window("w", 3, stride=2)],
    "1d-circular": [window("h", 3, left=2, right=1, mode="circular")],
    "2d-modes": [
        window("h", 3, padding=1, mode="reflect"),
        window("w", 5, left=1, right=3, stride=2, mode="replicate"),
    ],
    "2d-mixed": [window("h", 3, padding=2), window("w", 3, padding=1, mode="circular")],
    "1d-transposed": [window("h", 3, stride=2, padding=1, extra=1, transposed=True)],
    "2d-transposed": [
        window("h", 4, stride=2, padding=1, transposed=True),
        window("w", 3, stride=1, left=2, dilation=2, transposed=True),
    ],
    "1d-longer": [window("h", 2, stride=2, left=1, extra=4, transposed=True)],
}

LENGTHS = (7, 6, 5)


def module_of(made: Convolution, order: int = 0) -> nn.Module:
    """The module of one order of contraction, in float64."""
    program = made.programs()[order]
    torch.manual_seed(0)
    return run_alone(generated(made.network, program))().double()


def image(made: Convolution, *lead: int) -> Tensor:
    """An input with these leading axes."""
    (source,) = made.network.inputs
    lengths = iter(LENGTHS)
    sizes = [axis.length or next(lengths) for axis in source.axes if axis.kind == "legs"]
    rng = torch.Generator().manual_seed(1)
    return torch.randn(*lead, *sizes, dtype=torch.float64, generator=rng)


def close(made: Tensor, due: Tensor) -> None:
    torch.testing.assert_close(made, due, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("windows", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
def test_every_order_means_the_network(
    maker: Callable[[Sequence[Window]], Convolution], windows: Sequence[Window]
) -> None:
    made = maker(windows)
    for order in range(len(made.orders)):
        module = module_of(made, order)
        x = image(made, 2, 3).requires_grad_()
        parameters = dict(module.named_parameters())
        copies = {key: held.detach().clone().requires_grad_() for key, held in parameters.items()}
        y, due = module(x), meaning(made.network, copies, x)
        close(y, due)
        close(module.fold()(x), due)
        for lead in ((), (4,), (0,), (2, 0)):
            close(module(image(made, *lead)), meaning(made.network, parameters, image(made, *lead)))
        weights = torch.randn_like(y)
        wanted = torch.autograd.grad((due * weights).sum(), [*copies.values(), x])
        for one, other in zip(
            torch.autograd.grad((y * weights).sum(), [*parameters.values(), x]), wanted, strict=True
        ):
            close(one, other)


# ── in place of torch's layers ─────────────────────────────────────────────────────────────────

LAYERS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
STANDING = {
    "1d": WINDOWS["1d"],
    "2d": WINDOWS["2d"],
    "2d-valid": WINDOWS["2d-valid"],
    "2d-dilated": [window("h", 3, dilation=2, padding=2), window("w", 2, dilation=3)],
    "3d": [window("d", 2), window("h", 3, padding=1), window("w", 3, stride=2)],
    "1d-circular": [window("h", 3, padding=1, mode="circular")],
    "2d-reflect": [window("h", 3, padding=1, mode="reflect"), window("w", 1, mode="reflect")],
    "1d-transposed": WINDOWS["1d-transposed"],
    "2d-transposed": [
        window("h", 4, stride=2, padding=1, transposed=True),
        window("w", 3, stride=2, padding=1, extra=1, dilation=2, transposed=True),
    ],
}


def layer_of(module: nn.Module) -> nn.Module:
    """The layer of torch with the attributes of a module."""
    kinds = TRANSPOSED if hasattr(module, "output_padding") else LAYERS
    names = ["in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation",
             "groups", "padding_mode", *["output_padding"] * (kinds is TRANSPOSED)]  # fmt: skip
    given = {name: getattr(module, name) for name in names}
    return kinds[len(module.kernel_size)](**given, bias=module.bias is not None)


@pytest.mark.parametrize("windows", STANDING.values(), ids=STANDING)
@pytest.mark.parametrize("maker", [dense, tucker2, cp, train, depthwise])
@pytest.mark.parametrize("with_bias", [False, True])
def test_it_stands_for_a_layer_of_torch(
    maker: Callable[[Sequence[Window]], Convolution], windows: Sequence[Window], with_bias: bool
) -> None:
    made = maker(windows)
    if with_bias:
        made = replace(made, network=biased(made.network, made.network.output.legs[1]))
    for order in range(len(made.orders)):
        module = module_of(made, order)
        x = image(made, 3)
        for held in (module, module.fold()):
            layer = layer_of(held)
            assert held.weight.shape == layer.weight.shape
            given = {"weight": held.weight} | ({"bias": held.bias} if with_bias else {})
            due = torch.func.functional_call(layer, given, (x,))
            close(held(x), due)
            shown, like = repr(held), layer.extra_repr()
            for text in like.split(", ")[2:]:
                assert text in shown
        total = module.weight.square().sum()
        assert all(
            grad is None or grad.isfinite().all()
            for grad in torch.autograd.grad(total, module.parameters(), allow_unused=True)
        )


@pytest.mark.parametrize("windows", ["1d-causal", "2d-modes", "2d-mixed", "1d-longer"])
def test_what_no_layer_of_torch_does_has_no_attributes_of_one(windows: str) -> None:
    module = module_of(tucker2(WINDOWS[windows]))
    assert not {"weight", "bias", "kernel_size", "in_channels"}.intersection(dir(module))


# ── as many groups as the batch says ───────────────────────────────────────────────────────────

PER_SAMPLE = """\
network N() {{
  window h = conv(3, stride = 2, padding = 1), w = conv(2)
  index  i = 4, o = 3, c = 2
  input  x(..., i, h.{first}, w.{first})
  input  code(..., c)
  tensor K(c, i, o, h.kernel, w.kernel){kind}
  output y(..., o, h.{last}, w.{last})
}}
"""


@pytest.mark.parametrize("kind", ["", " complex"])
@pytest.mark.parametrize(("first", "last"), [("in", "out"), ("out", "in")])
def test_kernels_of_an_empty_batch(first: str, last: str, kind: str) -> None:
    made = tncompile.loads(PER_SAMPLE.format(first=first, last=last, kind=kind)).instantiate()
    for module in (made.module(search="fast"), made.module(search="fast").fold()):
        assert "groups" in inspect.getsource(type(module))
        one = module(torch.zeros(1, 4, 5, 6), torch.zeros(1, 2))
        x, code = torch.zeros(0, 4, 5, 6, requires_grad=True), torch.zeros(0, 2)
        y = module(x, code)
        assert (y.shape, y.dtype) == ((0, *one.shape[1:]), one.dtype)
        y.abs().sum().backward()
        assert all(held.grad is not None for held in (x, *module.parameters()))
