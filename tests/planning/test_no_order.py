"""Networks with windows that no order of contraction suits, and where that is said."""

from __future__ import annotations

import random
from contextlib import AbstractContextManager, nullcontext
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tncompile
from tests.support.small_networks import make_network
from tests.support.window_paths import counted, every_path, lengths_of, window
from tncompile.language.checking import window_rules
from tncompile.network.contraction import build_tree, operands
from tncompile.network.model import DOTS
from tncompile.network.windows import Window


@pytest.mark.parametrize(
    ("windows", "why"),
    [
        ([window(name) for name in "abcd"], "more than 3 windows"),
        ([window("a"), window("b", transposed=True)], "is transposed along some of them alone"),
    ],
)
def test_a_kernel_of_too_many_windows_is_no_tree(windows: list[Window], why: str) -> None:
    network = make_network(
        {DOTS: None},
        {"x": [DOTS, *(each.input_leg for each in windows)]},
        {"K": [each.kernel_leg for each in windows]},
        [DOTS, *(each.output_leg for each in windows)],
        windows=windows,
    )
    with pytest.raises(ValueError, match=why):
        build_tree(network, operands(network), ((0, 1),))


def test_windows_of_inputs_that_wait_for_each_other_have_a_place() -> None:
    architecture = tncompile.loads("""network Tangle() {
      window h = conv(2), p = conv(2), q = conv(2), v = conv(2), u = conv(2), t = conv(2)
      input  x(..., h.in, p.in, q.out)
      input  z(..., v.in, u.out, t.in)
      tensor A(h.kernel, v.kernel)
      tensor B(h.kernel, u.kernel)
      tensor C(t.kernel, p.kernel)
      tensor D(t.kernel, q.kernel)
      output y(..., h.out, p.out, q.in, v.out, u.in, t.out)
    }""").instantiate()
    with pytest.raises(tncompile.CompileError, match=r"TN408.*no order of contraction"):
        architecture.plan()


def _program(choose: random.Random) -> str:
    """Windows of any direction, on one or two inputs and one to four tensors."""
    names = "hwdt"[: choose.choice((1, 2, 3, 4, 4))]
    backward = {name: choose.random() < 0.35 for name in names}
    inputs = "xz"[: choose.choice((1, 2, 2))]
    tensors = [f"T{k}" for k in range(choose.randint(1, 5 - len(inputs)))]
    legs: dict[str, list[str]] = {name: [] for name in (*inputs, *tensors)}
    for name in names:
        legs[choose.choice(inputs)].append(f"{name}.{'out' if backward[name] else 'in'}")
        for tensor in choose.sample(tensors, min(len(tensors), choose.choice((1, 1, 2)))):
            legs[tensor].append(f"{name}.kernel")
    lines = [f"window {name} = conv(2)" for name in names]
    lines += [f"input {name}({', '.join(['...', *legs[name]])})" for name in inputs]
    lines += [f"tensor {name}({', '.join(legs[name])})" for name in tensors]
    leaving = [f"{name}.{'in' if backward[name] else 'out'}" for name in names]
    lines.append(f"output y({', '.join(['...', *leaving])})")
    return "network N() {\n  " + "\n  ".join(lines) + "\n}"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_what_the_language_refuses_is_what_has_no_order(seed: int) -> None:
    text = _program(random.Random(seed))
    spec = tncompile.loads(text)
    with patch.object(window_rules, "_not_one_convolution", lambda *_: ()):
        network = spec.instantiate("N").network
    lengths = lengths_of(network, {each.name: 7 for each in network.windows})
    count = len(operands(network))
    paths = every_path(tuple(range(count)), count)
    refusal: AbstractContextManager[object] = nullcontext()
    if all(counted(network, path, lengths) is None for path in paths):
        refusal = pytest.raises(tncompile.CompileError, match="TN408")
    with refusal:
        assert spec.instantiate("N").network == network
