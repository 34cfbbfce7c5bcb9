"""Networks from einsum equations: their text, their numbers, and what is refused."""

from __future__ import annotations

import random

import opt_einsum
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tncompile
from tncompile.network.einsum import Shape, from_einsum


def test_kinds_follow_from_where_a_letter_stands() -> None:
    text = from_einsum("...bi,ir,jr,kr,kj->...bj", (None, 8), (8, 2), (3, 2), (4, 2), (4, 3))
    assert text == (
        '"""The einsum `...bi,ir,jr,kr,kj->...bj`."""\n'
        "network Einsum() {\n"
        "  batch  b\n"
        "  index  i = 8, j = 3\n"
        "  bond   k = 4\n"
        "  hyper  r = 2\n"
        "  input  x(..., b, i)\n"
        "  tensor W0(i, r)\n"
        "  tensor W1(j, r)\n"
        "  tensor W2(k, r)\n"
        "  tensor W3(k, j)\n"
        "  output y(..., b, j)\n"
        "}\n"
    )


def test_names_give_way_to_letters() -> None:
    text = from_einsum("xy,yz->xz", (None, 3), (3, 2), name="Map")
    assert "input  x0(x, y)" in text
    assert "output result(x, z)" in text
    assert "network Map()" in text


def test_several_inputs_and_none() -> None:
    assert "input  x0(b, i)\n  input  x1(b, j)" in from_einsum(
        "bi,bj,ijk->bk", (None, 2), (None, 3), (2, 3, 4), inputs=2
    )
    assert "input" not in from_einsum("ij,jk->ik", (2, 3), (3, 4), inputs=0)


@pytest.mark.parametrize("equation", ["bi,ir,ro->bo", "bi,ir,jr,kr,kj->bj"])
def test_the_text_is_canonical(equation: str) -> None:
    shapes = [tuple(2 for _ in operand) for operand in equation.partition("-")[0].split(",")]
    architecture = tncompile.from_einsum(equation, *shapes)
    assert architecture.describe("program") == architecture.text()
    assert architecture.warnings == ()


def test_a_letter_summed_alone_gets_a_vector_of_ones() -> None:
    text = from_einsum("bi,ijr->bj", (None, 2), (2, 3, 4))
    assert "  bond   r = 4\n" in text
    assert "  tensor sum_r(r) init ones frozen" in text


@pytest.mark.parametrize(
    ("equation", "shapes", "message", "column"),
    [
        ("bi,ir->br", [(None, 8), (7, 2)], "`i` is 8 on operand 1 and 7 on operand 2", 3),
        ("bi,ir->bz", [(None, 8), (8, 2)], "`z` is on the output, but on no operand", 8),
        ("bi,ii->b", [(None, 8), (8, 8)], "`i` stands twice on operand 2, a diagonal", 4),
        ("bi,ir->brr", [(None, 8), (8, 2)], "a letter stands twice on the output", 9),
        ("bi,ir->br", [(None, 8)], "2 operands, but 1 shape", 3),
        ("bi,ir->br", [(None, 8), (8, 2), (3,)], "2 operands, but 3 shapes", 3),
        ("bi,ir->br", [(None, 8, 3), (8, 2)], "operand 1 has 2 letters, its shape", 0),
        ("...i,ir->...r", [(None, 8), (8, 2)], "a shape leaves `...` out", 0),
        ("bi,ir->br", [(None, 8), (8, 0)], "0 is no size", 4),
        ("bi,ir->br", [(None, 8), (8, True)], "True is no size", 4),
        ("bi,ir->br", [(None, 8), (8, None)], "`r` has no size on operand 2", 4),
        ("bi,ir->r", [(None, 8), (8, 2)], "`b` has no size, so it is a batch axis", 0),
        ("bi,ir->b é", [(None, 8), (8, 2)], "'é' is no index", 9),
        ("bi,i1->b", [(None, 8), (8, 2)], "'1' is no index", 4),
        ("bi;ir->br", [(None, 8), (8, 2)], "';' is no index", 2),
        ("bi,ir-br", [(None, 8), (8, 2)], "'-' is no index", 5),
        ("bi,ir->b,r", [(None, 8), (8, 2)], "an equation has one output", 8),
        ("bi,ir->br->", [(None, 8), (8, 2)], "'-' is no index", 9),
        ("b...,ir->br", [(None,), (8, 2)], "`...` must stand first", 1),
        ("......b,ir->br", [(None,), (8, 2)], "`...` stands twice", 3),
        ("bi,...ir->...br", [(None, 8), (8, 2)], "`...` stands on operand 2, which is trained", 3),
        ("...bi,ir->br", [(None, 8), (8, 2)], "`...` must stand on the output, too", 0),
        ("bi,ir->...br", [(None, 8), (8, 2)], "on the output, but on no input", 7),
        ("bi,,ir->br", [(None, 8), (), (8, 2)], "operand 2 has no letters", 3),
        ("", [()], "operand 1 has no letters", 0),
    ],
)
def test_mistakes_are_shown(equation: str, shapes: list[Shape], message: str, column: int) -> None:
    with pytest.raises(ValueError, match=r"\n") as caught:
        from_einsum(equation, *shapes)
    first, shown, caret = str(caught.value).split("\n")
    assert message in first
    assert shown == f"    {equation}"
    assert caret == f"    {' ' * column}^"


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="inputs = 3, but"):
        from_einsum("bi,ir->br", (None, 8), (8, 2), inputs=3)
    with pytest.raises(ValueError, match="is no name for a network"):
        from_einsum("bi,ir->br", (None, 8), (8, 2), name="my net")
    with pytest.raises(ValueError, match="is no name for a network"):
        from_einsum("bi,ir->br", (None, 8), (8, 2), name="network")
    with pytest.raises(ValueError, match="one line"):
        from_einsum("bi,\nir->br", (None, 8), (8, 2))


def test_spaces_mean_nothing_and_an_implicit_output_is_alphabetical() -> None:
    assert "output y(i, k)" in from_einsum(" ij , jk ", (2, 3), (3, 4), inputs=0)
    assert "output y(B, a)" in from_einsum("ja,Bj", (2, 3), (4, 2), inputs=0)


Case = tuple[str, list[tuple[int, ...]], int]


def random_equation(seed: int) -> Case:
    """An equation over at most six letters, its shapes and the number of inputs."""
    rng = random.Random(seed)
    letters = rng.sample("abcxyzIJ", rng.randint(1, 6))
    sizes = {letter: rng.choice([1, 2, 3, 4]) for letter in letters}
    operands = [
        "".join(rng.sample(letters, rng.randint(1, min(4, len(letters)))))
        for _ in range(rng.randint(1, 5))
    ]
    used = [letter for letter in letters if any(letter in operand for operand in operands)]
    output = "".join(rng.sample(used, rng.randint(0, len(used))))
    shapes = [tuple(sizes[letter] for letter in operand) for operand in operands]
    return f"{','.join(operands)}->{output}", shapes, rng.randint(0, len(operands))


@settings(max_examples=40)
@given(st.integers(0, 2**32).map(random_equation))
def test_numbers_are_those_of_einsum(case: Case) -> None:
    equation, shapes, inputs = case
    architecture = tncompile.from_einsum(equation, *shapes, inputs=inputs)
    module = architecture.module(dtype=torch.float64, seed=0)
    generator = torch.Generator().manual_seed(1)
    arguments = [
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes[:inputs]
    ]
    weights = [value for key, value in module.state_dict().items() if not key.startswith("sum_")]
    expected = opt_einsum.contract(equation, *arguments, *weights)
    torch.testing.assert_close(module(*arguments), expected, rtol=1e-10, atol=1e-12)


def test_batch_axes_and_dots_are_sized_at_run_time() -> None:
    architecture = tncompile.from_einsum("...bi,ij->...bj", (None, 3), (3, 2))
    assert architecture.text().startswith('"""The einsum')
    module = architecture.module(dtype=torch.float64)
    x = torch.randn(2, 5, 4, 3, dtype=torch.float64)
    torch.testing.assert_close(module(x), x @ module.W0)
