"""Edited networks: what they are worth, against sums of products that are written out."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.support import small_networks as small
from tests.support.declared_networks import padded_train, sliced
from tests.support.oracle import contract
from tests.support.strategies import Sketch, network, random_sketch
from tncompile.network.editing import (
    assemble,
    close_index,
    conjugate,
    join,
    open_index,
    remove,
    resize,
)
from tncompile.network.model import TensorNetwork
from tncompile.network.verifying import verify_network
from tncompile.network.windows import Window

Values = Mapping[str, Tensor]


def values(net: TensorNetwork, seed: int, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """A random tensor for each parameter and input, with one axis an index."""
    generator = torch.Generator().manual_seed(seed)
    sources = {tensor.source: tensor for tensor in net.tensors if tensor.role != "mask"}
    return {
        name: torch.randn(
            [net.index[leg].size or 3 for leg in tensor.legs], dtype=dtype, generator=generator
        )
        for name, tensor in sources.items()
    }


def value(net: TensorNetwork, given: Values, order: tuple[str, ...] | None = None) -> Tensor:
    """The output with one axis an index, in the order of the output or in another."""
    assert not list(verify_network(net))
    operands = []
    for tensor in net.tensors:
        factor = (
            torch.arange(math.prod(net.index[leg].size or 1 for leg in tensor.legs))
            .lt(int(tensor.source))
            .reshape([net.index[leg].size or 1 for leg in tensor.legs])
            if tensor.role == "mask"
            else given[tensor.source]
        )
        operands.append((factor.conj() if tensor.conjugate else factor, tensor.legs))
    return contract(operands, net.output.legs if order is None else order)


def plain(seed: int) -> TensorNetwork:
    """A random network of products alone."""
    sketch = random_sketch(seed)
    ids = {leg for legs in sketch.ids.values() for leg in legs}
    sizes = {leg: size or 3 for leg, size in sketch.sizes.items()}
    inputs = {name: legs for name, legs in sketch.inputs.items() if "..." not in legs}
    weights = dict(sketch.weights)
    if "..." in sketch.output or "..." in sketch.sizes:
        inputs, sizes = {}, {leg: size for leg, size in sizes.items() if leg != "..."}
        weights |= {
            f"V{k}": tuple(leg for leg in legs if leg != "...")
            for k, legs in enumerate(sketch.inputs.values())
        }
    assert ids <= sizes.keys()
    output = tuple(leg for leg in sketch.output if leg in sizes)
    return network(Sketch(sizes, inputs, weights, output, {}))


SEEDS = st.integers(0, 2**32)


@given(seed=SEEDS)
@settings(max_examples=150, deadline=None)
def test_an_environment_times_its_tensor_is_the_network(seed: int) -> None:
    net = plain(seed)
    given = values(net, seed)
    due = value(net, given)
    names = [tensor.name for tensor in net.tensors]
    for name in names:
        if len(names) == 1:
            continue
        environment, alone = remove(net, name), remove(net, *(n for n in names if n != name))
        assert name not in {tensor.name for tensor in environment.tensors}
        assert [tensor.name for tensor in alone.tensors] == [name]
        whole = join(environment, alone, keep=net.output.legs)
        assert {*whole.output.legs} == {*net.output.legs}
        torch.testing.assert_close(value(whole, given, net.output.legs), due)


@given(seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_a_network_times_its_conjugate_is_its_square_norm(seed: int) -> None:
    net = plain(seed)
    net = remove(net, *(tensor.name for tensor in net.tensors if tensor.role == "input"))
    given = values(net, seed, torch.complex128)
    norm = join(net, conjugate(net))
    assert not norm.output.axes
    assert len(norm.parameters) == len(net.parameters)
    due = value(net, given).abs().square().sum()
    torch.testing.assert_close(value(norm, given), due, check_dtype=False)


@given(seed=SEEDS)
@settings(max_examples=80, deadline=None)
def test_indices_open_and_close(seed: int) -> None:
    net = plain(seed)
    given = values(net, seed)
    due = value(net, given)
    for index in net.indices:
        if index.name in net.output.legs:
            closed = close_index(net, index.name)
            at = net.output.legs.index(index.name)
            torch.testing.assert_close(value(closed, given), due.sum(at))
        else:
            opened = open_index(net, index.name)
            assert opened.output.legs == (*net.output.legs, index.name)
            assert opened.index[index.name].kind == "index"
            torch.testing.assert_close(value(opened, given).sum(-1), due)
            again = close_index(opened, index.name)
            assert again.index.keys() == net.index.keys()
            assert again.tensors == net.tensors


def test_sizes_change_with_all_that_has_them() -> None:
    net = small.mpo([4, 6, 8], [6, 4, 8], 5)
    net = assemble(net, net.tensors, net.output)
    bond = next(tensor for tensor in net.tensors if tensor.role == "parameter").legs[-1]
    wider = resize(net, bond, 7)
    assert not list(verify_network(wider))
    assert wider.index[bond].size == 7
    assert resize(wider, bond, 5) == net
    leg = net.output.legs[-1]
    longer = resize(net, leg, 9)
    assert not list(verify_network(longer))
    assert sum(axis.size or 0 for axis in longer.output.axes) != sum(
        axis.size or 0 for axis in net.output.axes
    )
    assert longer.parameter_count > net.parameter_count
    opened = resize(net, leg, None)
    assert opened.index[leg].size is None
    assert all(axis.size is None for axis in opened.output.axes if leg in axis.indices)
    assert opened.parameters == net.parameters


def test_a_cached_answer_is_not_copied() -> None:
    net = small.mpo([4, 6], [6, 4], 5)
    before = {*net.index}, {*net.parameter}
    smaller = remove(net, net.tensors[-1].name)
    assert ({*net.index}, {*net.parameter}) == before
    assert len(smaller.parameter) == len(net.parameter) - 1


def test_long_networks_are_edited_too() -> None:
    net = small.norm(200, 8)
    environment = remove(net, net.tensors[100].name)
    assert len(environment.tensors) == len(net.tensors) - 1
    assert environment.index.keys() == net.index.keys()
    assert {*environment.output.legs} == {*net.tensors[100].legs}


def test_names_that_both_have_get_primes() -> None:
    net = remove(small.mpo([4, 6], [6, 4], 5), "x")
    power = join(join(net, net), net, keep=net.output.legs)
    assert len({index.name for index in power.indices}) == len(power.indices)
    assert len({tensor.name for tensor in power.tensors}) == 3 * len(net.tensors)
    assert {tensor.source for tensor in power.tensors} == {*net.parameter}


def test_slices_go_together_and_biases_are_left_out() -> None:
    slices = [tensor.name for tensor in sliced().tensors if tensor.position]
    with pytest.raises(ValueError, match="is one slice of `x`: remove all of it"):
        remove(sliced(), slices[0])
    assert not remove(padded_train(), "A").biases


def tucker_convolution() -> TensorNetwork:
    """Channels reduced, convolved along two axes, and expanded again."""
    windows = [Window(name=name, family=name, size=3, left=1, right=1) for name in ("h", "w")]
    return small.make_network(
        {"...": None, "i": 4, "o": 6, "a": 2, "b": 5},
        {"x": ["...", "i", "h.in", "w.in"]},
        {"U": ["i", "a"], "K": ["a", "b", "h.kernel", "w.kernel"], "V": ["b", "o"]},
        ["...", "o", "h.out", "w.out"],
        windows=windows,
    )


def test_a_window_stays_as_long_as_its_input_does() -> None:
    net = tucker_convolution()
    given = values(net, 0)
    environment = remove(net, "U")
    assert environment.windows == net.windows
    assert environment.output.legs == (*net.output.legs, "i", "a")
    again = join(environment, remove(net, "x", "K", "V"), keep=net.output.legs)
    assert (again.windows, again.output.legs) == (net.windows, (*net.output.legs,))
    opened = open_index(net, "a")
    assert opened.windows == net.windows
    assert close_index(opened, "a").index.keys() == net.index.keys()
    kernel = remove(net, "x")
    assert not kernel.windows
    assert set(kernel.output.legs) == {"i", "o", "h.kernel", "w.kernel"}
    due = torch.einsum("ia,abhw,bo->iohw", given["U"], given["K"], given["V"])
    torch.testing.assert_close(value(kernel, given, ("i", "o", "h.kernel", "w.kernel")), due)
    assert resize(net, "a", 7).windows == net.windows


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda net: remove(net, "K"), "`h` is convolved along: remove its input, too"),
        (lambda net: open_index(net, "w.kernel"), "`w.kernel` is convolved along"),
        (lambda net: close_index(net, "h.out"), "`h.out` has no size before run time"),
        (lambda net: resize(net, "h.kernel", 5), "`h.kernel` has the size of its window"),
        (lambda net: join(net, remove(net, "U")), "both networks have an input `x`"),
        (lambda net: join(net, renamed_input(net)), "both networks have a window `h`"),
    ],
)
def test_what_windows_tie_is_not_taken_apart(edit: object, message: str) -> None:
    assert callable(edit)
    with pytest.raises(ValueError, match=message):
        edit(tucker_convolution())


def renamed_input(net: TensorNetwork) -> TensorNetwork:
    """The same network with an input of another name."""
    return TensorNetwork.from_json(net.to_json().replace('"x"', '"z"'))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda net: remove(net, "Z"), "has no tensor `Z`"),
        (lambda net: remove(net, *(t.name for t in net.tensors)), None),
        (lambda net: join(net, net), "both networks have an input `x`"),
        (lambda net: conjugate(net), "inputs are not conjugated"),
        (lambda net: open_index(net, "z"), "has no index `z`"),
        (lambda net: open_index(net, net.output.legs[0]), "is on the output already"),
        (lambda net: close_index(net, "z"), "`z` is not on the output"),
        (lambda net: resize(net, "z", 2), "has no index `z`"),
        (lambda net: resize(net, net.output.legs[-1], 0), "a size is at least 1, not 0"),
        (lambda net: close_index(padded_train(), "o"), "has a bias"),
        (lambda net: resize(padded_train(), "i[0]", 3), "on an axis that `as` cuts off"),
    ],
)
def test_what_cannot_be_edited_is_said(edit: object, message: str | None) -> None:
    net = small.mpo([4, 6], [6, 4], 5)
    assert callable(edit)
    if message is None:
        assert not edit(net).tensors
        return
    with pytest.raises(ValueError, match=message):
        edit(net)


def test_sizes_and_shapes_of_joined_networks_agree() -> None:
    net = remove(small.mpo([4, 6], [6, 4], 5), "x")
    leg = net.output.legs[0]
    with pytest.raises(ValueError, match=r"is of size 6 and of size 9|is of size 4 and of size 9"):
        join(net, resize(net, leg, 9))
    bond = next(index.name for index in net.indices if index.kind == "bond")
    with pytest.raises(ValueError, match="is of shape"):
        join(net, resize(net, bond, 2))
