"""Habits from torch: what is written instead is in the hint."""

from __future__ import annotations

import pytest

import tncompile
from tncompile.language.diagnostics.diagnostic import Diagnostic
from tncompile.language.evaluating.functions import FUNCTIONS as NUMBER_FUNCTIONS
from tncompile.language.typing.functions import FUNCTIONS
from tncompile.language.typing.habits import OF_VALUES, elsewhere


def _only(output: str, more: str = "") -> Diagnostic:
    text = f"model M() {{ batch t {more} input x(..., t, 3) output {output} }}"
    with pytest.raises(tncompile.CompileError) as caught:
        tncompile.loads(text).instantiate("M")
    (diagnostic,) = caught.value.diagnostics
    return diagnostic


@pytest.mark.parametrize(
    ("output", "code", "hint"),
    [
        ("cat(x, x, dim = -1)", "TN207", "concat(a, b, dim = …)"),
        ("x |> view", "TN207", "reshape(x, (…))"),
        ("randn_like(x) * x", "TN207", "`input`"),
        ("max(x, -1)", "TN607", "amax(x, dim)"),
        ("x |> log2", "TN607", "log(x) / log(2)"),
        ("scan(relu, x, x, t)", "TN604", "declare a model"),
        ("x + x |> relu(x) * 2", "TN604", "write `(… |> relu(x)) * …`"),
        ("chunk(x, 3, dim = -1) |> relu", "TN208", "a tuple of 3 is piped in"),
        ("softmax(x[..., 0, *], -2)", "TN605", "the only one is `-1`"),
        ("x * seq", "TN201", "`batch seq` for a size"),
        ("softmax(x, 1)", "TN605", "write `-2`, if `...` is meant to be one axis"),
        ("reshape(x, (t, 3))", "TN601", "write `(..., t, 3)`"),
        ("x * 2**63", "TN304", "write a float: `9.223372036854776e+18`"),
        ("x[..., 0..t - 1, *] + x", "TN601", "always 1 apart"),
    ],
)
def test_the_hint_says_what_to_write(output: str, code: str, hint: str) -> None:
    diagnostic = _only(output)
    assert diagnostic.code == code, diagnostic
    assert hint in (diagnostic.hint or ""), diagnostic.hint


def test_habits_are_no_functions_of_the_language() -> None:
    assert {*OF_VALUES} <= {*NUMBER_FUNCTIONS}
    assert all(elsewhere(name) is None for name in (*FUNCTIONS, *NUMBER_FUNCTIONS))


@pytest.mark.parametrize("scheme", ["normal(inf)", "constant(-inf)", "uniform(inf)"])
def test_a_tensor_starts_finite(scheme: str) -> None:
    assert _only("x * w", f"tensor w(3) init {scheme}").code == "TN208"


def test_a_path_of_thousands_of_names_is_refused() -> None:
    path = ".".join("a" * 3000)
    assert _only("p(x)", f'part p = extern "{path}"()').code == "TN305"


def test_a_model_is_no_part_of_itself() -> None:
    diagnostic = _only("p(x)", "part p = M()")
    assert diagnostic.code == "TN602"
    assert "no part of itself" in (diagnostic.hint or "")


@pytest.mark.parametrize(
    ("output", "hint"),
    [
        ("pad(x, 1, 0, t)", 'padding = "causal"'),
        ("reshape(arange(t), (1, t)) - reshape(arange(t), (t, 1))", "queries and keys"),
    ],
)
def test_what_is_written_along_a_causal_size(output: str, hint: str) -> None:
    text = f"model M() {{ batch t causal input x(..., t, 3) output {output} }}"
    with pytest.raises(tncompile.CompileError) as caught:
        tncompile.loads(text).instantiate("M")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "TN609"
    assert hint in (diagnostic.hint or "")


@pytest.mark.parametrize(
    ("layer", "hint"),
    [
        ("ReLU()", "`x |> relu`"),
        ("LeakyReLU(0.1)", "`x |> leaky_relu`"),
        ("LogSoftmax(-1)", "`x |> log_softmax`"),
        ("Sequential()", "`x |> a |> b`"),
        ("ModuleList()", "`part p[k in 0..n] = …`"),
    ],
)
def test_classes_of_torch_that_are_no_layers_here(layer: str, hint: str) -> None:
    diagnostic = _only("x", f"part p = {layer}")
    assert diagnostic.code == "TN602"
    assert hint in (diagnostic.hint or "")


def test_images_with_channels_last_are_turned() -> None:
    text = "model M() { batch h, w part c = Conv2d(3, 8, 3) input x(..., h, w, 3) output c(x) }"
    with pytest.raises(tncompile.CompileError) as caught:
        tncompile.loads(text).instantiate("M")
    hint = caught.value.diagnostics[0].hint or ""
    assert "`network { (..., h, w, c) -> (..., c, h, w) }`" in hint


@pytest.mark.parametrize(("first", "said"), [("x(3)", "`x` is an input"), ("relu(x)", "`relu(x)`")])
@pytest.mark.parametrize("call", ["(3)", "(3)[0]"])
def test_what_a_call_gives_is_not_called(first: str, said: str, call: str) -> None:
    diagnostic = _only(first + call * 2_000)
    assert diagnostic.code == "TN604"
    assert diagnostic.message.startswith(said)
