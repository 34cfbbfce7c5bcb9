"""The convolutions of the library against `torch.nn`: values, gradients, and how they start."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import opt_einsum
import pytest
import torch
from torch import Tensor, nn

import tncompile
from tncompile.initialization.estimates import clear_of_borders
from tncompile.network.model import TensorNetwork
from tncompile.network.verifying import verify_network

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
SIZES = ([3], [3, 2], [2, 3, 1])  # of kernels, along one to three axes


@dataclass(frozen=True)
class Case:
    """A block from 6 to 8 channels with its own arguments, and the einsum that its kernel is.

    `equation` makes it from the letters of the kernel's axes; its operands are the parameters in
    the order of their declaration, `c` left out, its result the channels of the output, those of
    the input, and the kernel.
    """

    block: str
    channels: str
    arguments: str
    equation: Callable[[str], str]
    groups: int = 1

    def target(self, sizes: Sequence[int], more: str = "") -> str:
        """The call of the block for a kernel of these sizes."""
        return f"{self.block}({self.channels}, kernel_size = {[*sizes]}{self.arguments}{more})"

    def kernel(self, held: nn.Module, sizes: Sequence[int]) -> Tensor:
        """The weight of nn.ConvNd."""
        declared = architecture(self.target(sizes)).network.parameters
        factors = [held.get_parameter(each.key) for each in declared if each.key != "c"]
        kernel: Tensor = opt_einsum.contract(self.equation("xyz"[: len(sizes)]), *factors)
        return kernel.reshape(8, 6 // self.groups, *sizes)


CASES = (
    Case("Tucker2Conv", "6, 8", ", in_rank = 2, out_rank = 3", lambda k: f"pi,qp{k},oq->oi{k}"),
    Case(
        "TuckerConv",
        "6, 8",
        ", in_rank = 2, out_rank = 3, kernel_ranks = 2",
        lambda k: f"pi,{','.join(x.upper() + x for x in k)},qp{k.upper()},oq->oi{k}",
    ),
    Case("CPConv", "6, 8", ", rank = 4", lambda k: f"ri,{','.join('r' + x for x in k)},or->oi{k}"),
    Case(
        "TTConv",
        "ins = [2, 3], outs = [4, 2]",
        ", ranks = [2, 3]",
        lambda k: f"{k}a,aiob,bjp->opij{k}",
    ),
    Case(
        "TTConv",
        "ins = [6], outs = [2, 2, 2]",
        ", ranks = [2, 3, 2]",
        lambda k: f"{k}a,aiob,bpc,cq->opqi{k}",
    ),
    Case(
        "TRConv",
        "ins = [2, 3], outs = [4, 2]",
        ", ranks = [2, 3, 2, 4, 3]",
        lambda k: f"aib,bjc,c{k}d,doe,epa->opij{k}",
    ),
    Case("TRConv", "ins = [6], outs = [8]", ", ranks = 2", lambda k: f"aib,b{k}c,coa->oi{k}"),
    Case("DepthwiseSeparable", "6, 8", "", lambda k: f"im{k},oim->oi{k}"),
    Case("DepthwiseSeparable", "6, 8", ", multiplier = 3", lambda k: f"im{k},oim->oi{k}"),
    Case("GroupedConv", "6, 8", "", lambda k: f"oi{k}->oi{k}"),
    Case("GroupedConv", "6, 8", ", groups = 2", lambda k: f"oi{k}->oi{k}", groups=2),
)


def architecture(target: str) -> tncompile.Architecture:
    return tncompile.load("std/convolution.tn").instantiate(target)


def name(case: Case) -> str:
    return f"{case.block} {case.channels}{case.arguments}"


def layer(case: Case, sizes: Sequence[int], **arguments: object) -> nn.Module:
    """The layer of torch that the block stands for."""
    kind: Callable[..., nn.Module] = LAYERS[len(sizes) - 1]
    return kind(6, 8, tuple(sizes), groups=case.groups, dtype=torch.float64, **arguments)


def compare(case: Case, sizes: Sequence[int], arguments: dict[str, object]) -> None:
    """Values and gradients of a block and of the layer with the kernel that it is."""
    plain = {key: value for key, value in arguments.items() if key != "mode"}
    written = "".join(f", {key} = {str(value).lower()}" for key, value in plain.items())
    written += f", {arguments['mode']} = true" if "mode" in arguments else ""
    held = architecture(case.target(sizes, written)).module(
        seed=0, search="fast", dtype=torch.float64
    )
    of_torch = {
        {"with_bias": "bias", "mode": "padding_mode"}.get(key, key): value
        for key, value in arguments.items()
    }
    twin = layer(case, sizes, **of_torch)
    kernel = case.kernel(held, sizes)
    bias = dict(held.named_parameters()).get("c")
    weights = {"weight": kernel} if bias is None else {"weight": kernel, "bias": bias.reshape(-1)}
    torch.manual_seed(1)
    x = torch.randn(2, 6, *(7 + k for k in range(len(sizes))), dtype=torch.float64)
    x.requires_grad_()
    y, due = held(x), torch.func.functional_call(twin, weights, (x,))
    torch.testing.assert_close(y, due, rtol=1e-10, atol=1e-10)
    seed = torch.randn_like(y)
    wanted = [x, *held.parameters()]
    made = torch.autograd.grad(y, wanted, seed)
    expected = torch.autograd.grad(due, wanted, seed)
    for one, other in zip(made, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("sizes", SIZES, ids=lambda sizes: f"{len(sizes)}d")
@pytest.mark.parametrize("case", CASES, ids=name)
def test_block_is_its_convolution(case: Case, sizes: list[int]) -> None:
    compare(case, sizes, {"padding": 1})


@pytest.mark.parametrize(
    "arguments",
    [
        {"with_bias": False},
        {"stride": 2},
        {"stride": [1, 3], "padding": [0, 2], "dilation": [2, 1]},
        {"padding": 1, "mode": "circular"},
        {"padding": [2, 1], "mode": "reflect", "stride": 2},
        {"padding": 2, "mode": "replicate", "dilation": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("case", CASES[::2], ids=name)
def test_arguments_are_those_of_torch(case: Case, arguments: dict[str, object]) -> None:
    compare(case, [3, 3], arguments)


@pytest.mark.parametrize("case", CASES, ids=name)
def test_block_is_sound_and_without_warnings(case: Case) -> None:
    for sizes in SIZES:
        made = architecture(case.target(sizes))
        assert made.warnings == ()
        assert list(verify_network(made.network)) == []
        assert TensorNetwork.from_json(made.network.to_json()) == made.network


def test_every_block_is_tested_and_names_its_paper() -> None:
    spec = tncompile.load("std/convolution.tn")
    assert set(spec.blocks) == {case.block for case in CASES}
    for block in spec.blocks.values():
        assert block.doc is not None
        assert "arXiv:" in block.doc, block


@pytest.mark.parametrize(
    ("target", "count"),
    [
        ("Tucker2Conv(64, 128)", 64 * 16 + 16 * 32 * 9 + 32 * 128 + 128),
        ("Tucker2Conv(3, 16)", 3 * 1 + 1 * 4 * 9 + 4 * 16 + 16),
        ("TuckerConv(64, 128)", 64 * 16 + 2 * 3 * 3 + 16 * 32 * 9 + 32 * 128 + 128),
        (
            "TuckerConv(64, 128, [64], kernel_ranks = [12])",
            64 * 16 + 12 * 64 + 16 * 32 * 12 + 32 * 128 + 128,
        ),
        ("CPConv(64, 128, rank = 32)", 32 * (64 + 3 + 3 + 128) + 128),
        ("TTConv([8, 8], [8, 16])", 9 * 16 + 16 * 8 * 8 * 16 + 16 * 8 * 16 + 128),
        (
            "TRConv([8, 8], [8, 16])",
            64 * (8 + 8 + 9 + 8 + 16) + 128,
        ),
        ("DepthwiseSeparable(64, 128)", 64 * 9 + 64 * 128 + 128),
        ("GroupedConv(64, 128)", 64 * 128 * 9 + 128),
        ("GroupedConv(64, 128, groups = 32, with_bias = false)", 64 * 128 * 9 // 32),
    ],
)
def test_defaults_and_how_many_parameters_they_make(target: str, count: int) -> None:
    made = architecture(target)
    assert made.warnings == ()
    assert made.network.parameter_count == count


def test_keys_and_shapes_of_a_grouped_convolution_are_near_those_of_torch() -> None:
    """A checkpoint of nn.Conv2d is loaded under two other names."""
    twin = nn.Conv2d(6, 8, (3, 2), groups=2)
    held = architecture("GroupedConv(6, 8, [3, 2], groups = 2)").module(seed=0)
    held.load_state_dict({"K": twin.weight, "c": twin.bias})
    x = torch.randn(2, 6, 5, 5)
    torch.testing.assert_close(held(x), twin(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("block", ["TTConv", "TRConv"])
def test_any_width_is_a_cut_of_the_whole(block: str) -> None:
    whole = architecture(f"{block}([2, 3], [4, 2])").module(search="fast", seed=0)
    cut = architecture(f"{block}([2, 3], [4, 2], inputs = 5, outputs = 7)")
    part = cut.module(search="fast", seed=1)
    part.load_state_dict(whole.state_dict())
    x = torch.randn(2, 5, 6, 6)
    due = whole(nn.functional.pad(x, (0, 0, 0, 0, 0, 1)))[:, :7]
    torch.testing.assert_close(part(x), due, rtol=1e-4, atol=1e-5)


# ── how blocks start ───────────────────────────────────────────────────────────────────────────

STARTS = (
    "Tucker2Conv(64, 48)",
    "Tucker2Conv(64, 48, [5], stride = 2, dilation = 2)",
    "Tucker2Conv(8, 12, [3, 3, 3])",
    "CPConv(64, 48, padding = 1)",
    "CPConv(32, 24, [7], circular = true, padding = 3)",
    "CPConv(8, 12, [3, 1, 3], rank = 16)",
    "TTConv(factor(64, 2), factor(128, 2), padding = 1)",
    "TTConv([4, 4], [4, 4], [3], inputs = 13, outputs = 11)",
    "TTConv([2, 2, 2], [2, 2, 2], [3, 3, 3])",
    "TRConv(factor(64, 2), factor(128, 2), padding = 1)",
    "TRConv([4, 4], [4, 4], [3], inputs = 13, outputs = 11)",
    "TRConv([2, 2, 2], [2, 2, 2], [3, 3, 3])",
    "DepthwiseSeparable(64, 48)",
    "DepthwiseSeparable(64, 48, [5], multiplier = 2)",
    "DepthwiseSeparable(8, 12, [3, 3, 3], stride = 2)",
    "GroupedConv(64, 48)",
    "GroupedConv(64, 48, [5], groups = 4, dilation = 2)",
    "GroupedConv(8, 12, [3, 3, 3], groups = 4)",
)


@pytest.mark.parametrize("target", STARTS)
def test_every_draw_is_as_large_as_a_convolution(target: str) -> None:
    """Exactly by the kernel; and away from the borders of long random images."""
    made = architecture(target)
    windows = made.network.windows
    (source,), output = made.network.inputs, made.network.output
    (channels,) = [axis.length for axis in source.axes if axis.length is not None]
    clear = [clear_of_borders(window) for window in windows]
    for seed in range(3):
        held = made.module(search="fast", seed=seed)
        with torch.no_grad():
            # One entry of the output, for each entry of the input by itself.
            lengths = [length for length, _, _ in clear]
            every = torch.eye(channels * math.prod(lengths)).reshape(-1, channels, *lengths)
            y = held(every) - held(torch.zeros_like(every[:1]))
            kernel = y[(..., *(slice(first, last) for _, first, last in clear))]
            mean_square = kernel.square().sum().item() / kernel.shape[1]
            assert mean_square == pytest.approx(1 / 3, rel=1e-3)
            torch.manual_seed(seed)
            images = torch.randn(8, channels, *(length + 12 for length in lengths))
            y = held(images) - held(torch.zeros_like(images[:1]))
            inside = (slice(first, y.shape[k + 2] - first) for k, (_, first, _) in enumerate(clear))
            assert y[(..., *inside)].square().mean().item() == pytest.approx(1 / 3, rel=0.3)
    assert output.log is False


@pytest.mark.parametrize(
    ("target", "features"),
    [
        ("Tucker2Conv(12, 400, [3, 5])", 12 * 15),
        ("GroupedConv(12, 400, [3], groups = 4)", 3 * 3),
        ("TTConv([2, 6], [20, 20], [2, 2, 2])", 12 * 8),
    ],
)
def test_a_bias_starts_as_that_of_torch(target: str, features: int) -> None:
    bias = architecture(target).module(search="fast", seed=0).state_dict()["c"]
    assert 0.95 / math.sqrt(features) < bias.abs().max().item() <= 1 / math.sqrt(features)


# ── mistakes ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("target", "code", "place", "told"),
    [
        ("Tucker2Conv(6)", "TN208", "out_channels", "`Tucker2Conv` needs `out_channels`"),
        ("Tucker2Conv(6, 8, size = 3)", "TN208", "Tucker2Conv", "has no parameter `size`"),
        ("Tucker2Conv(6, 8, 3)", "TN305", "kernel_size", "`kernel_size` takes a list here"),
        ("Tucker2Conv(6, 8, [3, 0])", "TN301", "kernel_size[a]", "the size of `h[1]`"),
        ("Tucker2Conv(6, 8, stride = 0)", "TN301", "stride[a]", "the stride of `h[0]`"),
        ("Tucker2Conv(6, 8, dilation = [1, 0])", "TN301", "dilation[a]", "dilation of `h[1]`"),
        ("Tucker2Conv(6, 8, padding = 0 - 1)", "TN301", "padding[a]", "padding of `h[0]`"),
        ("Tucker2Conv(6, 8, stride = [1, 2, 3])", "TN303", "stride", "`stride` has 3 items"),
        ("Tucker2Conv(0, 8)", "TN301", "in_channels", "the size of `i`"),
        ("CPConv(6, 8, rank = 0)", "TN301", "rank", "not a positive integer"),
        ("TTConv([2, 3], [4, 2], ranks = [1])", "TN303", "ranks", "`ranks` has 1 item"),
        ("TTConv([2, 3], [4, 2], inputs = 7)", "TN301", "inputs", "the width 7"),
        ("DepthwiseSeparable(6, 8, multiplier = 0)", "TN301", "multiplier", "positive integer"),
    ],
)
def test_wrong_arguments(target: str, code: str, place: str, told: str) -> None:
    with pytest.raises(tncompile.CompileError) as caught:
        architecture(target)
    (problem,) = caught.value.diagnostics
    assert str(problem.code) == code
    assert told in problem.message
    assert problem.primary.span.text == place


@pytest.mark.parametrize("size", [3, 4])
def test_one_number_for_a_kernel_is_told_the_list(size: int) -> None:
    with pytest.raises(tncompile.CompileError) as caught:
        architecture(f"CPConv(6, 8, {size})")
    (problem,) = caught.value.diagnostics
    assert problem.hint == f"write a list: `kernel_size = [{size}, {size}]`"


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("Tucker2Conv(6, 8, circular = true, reflect = true)", "there is one mode"),
        ("CPConv(6, 8, reflect = true, replicate = true)", "there is one mode"),
        ("GroupedConv(6, 8, circular = true, replicate = true)", "there is one mode"),
        ("GroupedConv(6, 8, groups = 3)", "groups are equal in size"),
        ("GroupedConv(8, 6, groups = 4)", "groups are equal in size"),
        ("GroupedConv(8, 6, groups = 0)", "groups are equal in size"),
        ("TRConv([6], [8], [1, 1, 1, 1])", "one to three axes"),
        ("GroupedConv(8, 6, [])", "one to three axes"),
        ("CPConv(8, 6, [])", "one axis or more"),
        ("TTConv([], [])", "a core of channels"),
        ("TRConv([], [])", "a core of channels"),
    ],
)
def test_what_does_not_go_together(target: str, told: str) -> None:
    with pytest.raises(tncompile.CompileError) as caught:
        architecture(target)
    (problem,) = caught.value.diagnostics
    assert str(problem.code) == "TN302"
    assert told in problem.message


def test_an_image_that_is_too_small() -> None:
    held = architecture("Tucker2Conv(6, 8, [5, 3])").module(search="fast")
    with pytest.raises(ValueError, match=r"h\[0\]"):
        held(torch.randn(2, 6, 4, 9))
    with pytest.raises(ValueError, match="x"):
        held(torch.randn(2, 5, 9, 9))
