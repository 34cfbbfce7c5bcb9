"""Networks from einsum equations: their text, the arguments that they take, what is refused."""

from __future__ import annotations

import itertools
import re
import string
from collections.abc import Sequence

import numpy as np
import pytest
import torch

import tncompile
from tncompile.network.einsum import from_einsum


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


def test_a_diagonal_is_an_identity_that_is_not_trained() -> None:
    text = from_einsum("bii,iiij->bj", (None, 3, 3), (3, 3, 3, 2))
    assert text == (
        '"""The einsum `bii,iiij->bj`."""\n'
        "network Einsum() {\n"
        "  batch  b\n"
        "  index  i = 3, i_2 = 3, j = 2\n"
        "  bond   i_3 = 3\n"
        "  input  x(b, i, i_2)\n"
        "  tensor W0(i, i_2, i_3, j)\n"
        "  tensor eye_i_2(i, i_2) init eye frozen  # a diagonal: i_2 is i\n"
        "  tensor eye_i_3(i, i_3) tie eye_i_2      # a diagonal: i_3 is i\n"
        "  output y(b, j)\n"
        "}\n"
    )
    module = tncompile.loads(text).instantiate().module(seed=0)
    assert [name for name, _ in module.named_parameters()] == ["W0"]
    assert [name for name, _ in module.named_buffers()] == ["eye_i_2"]


def test_an_axis_of_size_one_broadcasts_without_a_tensor_for_it() -> None:
    text = from_einsum("bij,ij->b", (None, 1, 1), (3, 4))
    assert "index  one[k in 0..0] = 1, one_2[k in 0..0] = 1\n" in text
    assert "input  x(b, (one[*]), (one_2[*]))" in text
    module = tncompile.loads(text).instantiate().module(dtype=torch.float64)
    assert sorted(module.state_dict()) == ["W0", "sum_i", "sum_j"]
    x = torch.randn(5, 1, 1, dtype=torch.float64)
    torch.testing.assert_close(module(x), x[:, 0, 0] * module.W0.sum())
    with pytest.raises(ValueError, match=r"must be .* 1, 1, got shape \(5, 2, 1\)"):
        module(torch.randn(5, 2, 1, dtype=torch.float64))
    only = tncompile.from_einsum("i,i->i", (1,), (4,)).module()
    with pytest.raises(ValueError, match=r"its only axis must have 1 entry, got shape \(4,\)"):
        only(torch.randn(4))


# ── dots ─────────────────────────────────────────────────────────────────────────────────────────


def test_batch_axes_and_dots_are_sized_at_run_time() -> None:
    for shape in ((None, 3), (7, None, 3), (5, 7, None, 3)):  # sizes of dots that lead are free
        architecture = tncompile.from_einsum("...bi,ij->...bj", shape, (3, 2))
        assert "input  x(..., b, i)" in architecture.text()
    module = architecture.module(dtype=torch.float64)
    for lead in ((), (5,), (2, 5)):
        x = torch.randn(*lead, 4, 3, dtype=torch.float64)
        torch.testing.assert_close(module(x), x @ module.W0)


def test_dots_elsewhere_have_the_sizes_of_the_shapes() -> None:
    text = from_einsum("i...,ij...->...j", (8, None, 1), (8, 2, 5))
    assert "batch  d1\n" in text
    assert "input  x(i, d1, (one[*]))" in text
    assert "tensor W0(i, j, d0)" in text
    assert "output y(d1, d0, j)" in text


def test_dots_without_axes_vanish() -> None:
    assert "output y(b, j)" in from_einsum("b...i,ij->b...j", (None, 8), (8, 2))
    assert "output y(j)" in from_einsum("i,ij->...j", (8,), (8, 2))
    # They still lead inputs, and no trained operand has an axis there.
    assert "output y(..., j)" in from_einsum("...i,...ij->...j", (8,), (8, 2))


# ── what operands and indices may be ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "shapes",
    [
        (np.array([2, 4]), np.array([4, 3], dtype=np.uint8)),
        ((np.int64(2), np.int32(4)), [np.int16(4), 3]),
        (torch.Size([2, 4]), torch.tensor([4, 3])),
        ((torch.tensor(2), 4), iter([4, 3])),
        (torch.randn(2, 4), np.zeros((4, 3))),
        (torch.zeros(2, 4, dtype=torch.int64), torch.nn.Parameter(torch.zeros(4, 3))),
        (torch.empty(2, 4, device="meta"), np.zeros((4, 3), dtype=bool)),
        (np.array([2, 4], dtype=object), range(4, 2, -1)),
    ],
    ids=lambda shapes: " ".join(type(shape).__name__ for shape in shapes),
)
def test_shapes_are_sizes_or_what_has_them(shapes: tuple[object, object]) -> None:
    assert from_einsum("bi,io->bo", *shapes) == from_einsum("bi,io->bo", (2, 4), (4, 3))


def test_none_in_an_array_is_a_batch_axis() -> None:
    text = from_einsum("bi,io->bo", np.array([None, 4], dtype=object), (4, 3))
    assert text == from_einsum("bi,io->bo", (None, 4), (4, 3))


@pytest.mark.parametrize("scalar", [(), 3, 2.5, 1j, np.float64(2), np.int64(2), torch.tensor(2.0)])
def test_scalars_are_operands(scalar: object) -> None:
    assert "input  x()" in from_einsum(",ij->ij", scalar, (2, 3))


def test_the_form_with_lists_is_the_form_with_letters() -> None:
    text = from_einsum((None, 8), [0, 1], (8, 2), [np.int64(1), 2], [0, 2])
    assert "[0, 1], [1, 2] -> [0, 2]" in text
    assert "input  x(i0, i1)\n  tensor W0(i1, i2)\n  output y(i0, i2)" in text
    assert "output y(i0, i2)" in from_einsum((2, 8), [2, 1], (8, 2), [1, 0])
    assert "output y(..., b)" in from_einsum((8,), [..., "a"], (8, 2), ("a", "b"), [..., "b"])
    words = from_einsum((None, 8), ["sites", "in"], (8, 2), ["in", "W0"], ["sites", "W0"])
    assert "batch  sites" in words
    assert "tensor W0(leg_in, W0_2)" in words
    assert (
        from_einsum((2, 3), "ij", "ji").partition("\n")[2]
        == (from_einsum("ij->ji", (2, 3)).partition("\n")[2])
    )


def test_names_that_are_taken_get_a_number() -> None:
    words = ["x", "y", "k", "one", "eye_k_2", "sum_x", "i0", "x0", "W1"]
    sizes = dict.fromkeys(words, 2) | {0: 2}
    operand = [*words, 0, "k"]
    shape = [sizes[label] for label in operand]
    single = [1, *shape[1:]]
    text = from_einsum(shape, operand, single, operand, ["y", "one", "k", "k", 0])
    module = tncompile.loads(text).instantiate().module(search="fast")
    assert [name for name, _ in module.named_parameters()] == ["W0"]


def chain(symbols: Sequence[str]) -> str:
    """A product of matrices in these letters."""
    terms = [first + second for first, second in itertools.pairwise(symbols)]
    return f"{','.join(terms)}->{symbols[0]}{symbols[-1]}"


def test_there_are_letters_beyond_the_alphabet() -> None:
    symbols = [*string.ascii_letters, *"αβγδжשのé×"]
    text = from_einsum(chain(symbols), *[(2, 2)] * (len(symbols) - 1))
    numbers = [[k, k + 1] for k in range(len(symbols) - 1)]
    pairs = [part for indices in numbers for part in ((2, 2), indices)]
    listed = from_einsum(*pairs, [0, len(symbols) - 1])
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 2, generator=generator, dtype=torch.float64)
    for program in (text, listed):
        architecture = tncompile.loads(program).instantiate()
        assert architecture.describe("program") == program
        module = architecture.module(dtype=torch.float64, seed=0, search="fast")
        expected = torch.linalg.multi_dot([x, *module.parameters()])
        torch.testing.assert_close(module(x), expected)


# ── mistakes ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("equation", "shapes", "message", "column"),
    [
        ("bi,ir->br", [(None, 8), (7, 2)], "`i` is 8 on operand 1 and 7 on operand 2", 3),
        ("bi,ir->bz", [(None, 8), (8, 2)], "`z` is on the output, but on no operand", 8),
        ("bi,ii->b", [(None, 8), (8, 7)], "`i` is 8 and 7 on operand 2: both places of", 4),
        ("bi,ii->b", [(None, 8), (1, 8)], "`i` is 1 and 8 on operand 2: both places of", 4),
        ("bbi,ir->r", [(None, None, 8), (8, 2)], "`b` has no size, so it is a batch axis", 0),
        ("bbi,ir->br", [(None, None, 8), (8, 2)], "`b` has no size and stands twice on op", 0),
        ("bi,ir->bbr", [(None, 8), (8, 2)], "`b` has no size and stands twice on the out", 7),
        ("bi,ir->br", [(None, 8)], "2 operands, but 1 shape", 3),
        ("bi,ir->br", [(None, 8), (8, 2), (3,)], "2 operands, but 3 shapes", 3),
        ("bi,ir->br", [(None, 8, 3), (8, 2)], "operand 1 has 2 legs, its shape (None, 8, 3)", 0),
        ("b...i,ir->...r", [(8,), (8, 2)], "operand 1 has 2 legs and `...`, its shape (8,)", 0),
        (",ir->r", [(8,), (8, 2)], "operand 1 has 0 legs, its shape (8,) has 1 size", 0),
        ("bi,ir->br", [(None, 8), (8, 0)], "0 is no size", 4),
        ("bi,ir->br", [(None, 8), (8, True)], "True is no size", 4),
        ("bi,ir->br", [(None, 8), (8, 2.0)], "2.0 is no size", 4),
        ("bi,ir->br", [(None, 8), (8, -(10**5000))], "a huge integer is no size", 4),
        ("bi,ir->br", [(None, 8), (8, 2**41)], "a size is at most 2**40", 4),
        ("bi,ir->br", [(None, 8), (8, None)], "`r` has no size on operand 2", 4),
        ("bi,bir->br", [(None, 8), (5, 8, 2)], "None on operand 1 and 5 on operand 2: give 5", 3),
        ("bi,ir->r", [(None, 8), (8, 2)], "`b` has no size, so it is a batch axis", 0),
        ("...bi,ir->...r", [(4, None, 8), (8, 2)], "`b` has no size, so it is a batch axis", 3),
        ("...i,i...->i", [(4, 8), (8, 5)], "the last axis of `...` is 4 on operand 1 and 5", 6),
        ("...i,i...->...", [(2, 2, 8), (8, 3, 2)], "axis -2 of `...` is 2 on operand 1 and 3", 6),
        ("...i,...ir->...r", [(None, 8), (3, 8, 2)], "None on operand 1 and 3 on operand 2", 5),
        ("...i,i...->i", [(8,), (8, None)], "the last axis of `...` has no size on operand 2", 6),
        ("bi,ir->b→", [(None, 8), (8, 2)], "'→' is no index: write `->`", 8),
        ("…i,ir->r", [(8,), (8, 2)], "'…' is no index: write `...`", 0),
        ("bi,i1->b", [(None, 8), (8, 2)], "'1' is no index", 4),
        ("bi;ir->br", [(None, 8), (8, 2)], "';' is no index", 2),
        ("bi,ir-br", [(None, 8), (8, 2)], "'-' is no index", 5),
        ("bi,ir->b,r", [(None, 8), (8, 2)], "an equation has one output", 8),
        ("bi,ir->br->", [(None, 8), (8, 2)], "'-' is no index", 9),
        ("b.i,ir->br", [(None, 8), (8, 2)], "'.' is no index", 1),
        ("......b,ir->br", [(None,), (8, 2)], "`...` stands twice", 3),
        ("bi,ir->br", [(None, 8), "ab"], "a tuple of sizes such as (2, 3), or a tensor", 3),
        ("bi,ir->br", [(None, 8), {8, 2}], "a tuple of sizes such as (2, 3), or a tensor", 3),
        ("bi,ir->br", [(None, 8), 5], "a tuple of sizes such as (2, 3), or a tensor", 3),
        ("bi,ir->br", [(None, 8), [[1.0, 2.0]] * 2], "values are not taken, give the shape", 3),
        ("bi,ir->br", [(None, 8), itertools.repeat(8)], "more than 10,000 sizes", 3),
    ],
)
def test_mistakes_are_shown(equation: str, shapes: list[object], message: str, column: int) -> None:
    with pytest.raises(ValueError, match=r"\n") as caught:
        from_einsum(equation, *shapes)
    first, shown, caret = str(caught.value).split("\n")
    assert message in first
    assert shown == f"    {equation}"
    assert caret == f"    {' ' * column}^"


def test_mistakes_in_lists_are_shown_in_the_equation_they_make() -> None:
    with pytest.raises(ValueError, match="`rank` is 2 on operand 2 and 3 on operand 3") as caught:
        from_einsum((4,), [0], (4, 2), [0, "rank"], (3,), ["rank"], [])
    _, shown, caret = str(caught.value).split("\n")
    assert shown == "    [0], [0, rank], [rank] -> []"
    assert shown.rindex("rank") == caret.index("^")


def test_messages_are_short() -> None:
    values = torch.randn(4096, 4096)
    for shapes in (
        (values, torch.randn(5, 4)),
        (values[0], values),
        (values.tolist()[:2], (3, 4)),
        (np.arange(4096), (3, 4)),
        (torch.arange(4096), (3, 4)),
        (10**5000, (3, 4)),
        ((3, "x" * 5000), (3, 4)),
        ("x" * 5000, (3, 4)),
    ):
        with pytest.raises(ValueError, match=r"operand|size") as caught:
            from_einsum("bi,io->bo", *shapes)
        assert len(str(caught.value)) < 300
    equation = f"{'ij,' * 500}iz,{'ij,' * 500}zj->ij"
    with pytest.raises(ValueError, match="`z` is 3 on operand 501 and 4 on operand 1002") as caught:
        from_einsum(equation, *[(2, 2)] * 500, (2, 3), *[(2, 2)] * 500, (4, 2))
    assert len(str(caught.value)) < 400
    _, shown, caret = str(caught.value).split("\n")
    assert shown[caret.index("^") :].startswith("zj->ij")
    with pytest.raises(ValueError, match="no name for a network") as caught:
        from_einsum("i->i", (2,), name="a b" * 5000)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("equation", "wrong", "hint", "right"),
    [
        ("bi,ir->r", [(None, 8), (8, 2)], "give its size to sum over it", [(4, 8), (8, 2)]),
        ("bbi->bi", [(None, None, 8)], "give its size to take a diagonal", [(4, 4, 8)]),
        ("bi->bbi", [(None, 8)], "give its size to fill a diagonal", [(4, 8)]),
        ("bi,ir->br", [(None, 8), (8, None)], "give its size", [(None, 8), (8, 2)]),
        ("bi,bir->br", [(None, 8), (5, 8, 2)], "give 5 in both places", [(5, 8), (5, 8, 2)]),
        ("i,ir->r", [[[1.0], [2.0]], (2, 3)], "leg", [(2,), (2, 3)]),
        ("i,ir->r", [np.arange(2), (2, 3)], "a tensor has a `.shape`", [(2,), (2, 3)]),
        ("i,ir->r", [5, (2, 3)], "a tuple of sizes such as (2, 3)", [(2,), (2, 3)]),
    ],
)
def test_hints_lead_on(equation: str, wrong: list[object], hint: str, right: list[object]) -> None:
    with pytest.raises(ValueError, match=re.escape(hint)):
        from_einsum(equation, *wrong)
    assert tncompile.from_einsum(equation, *right).warnings == ()


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="inputs = 3, but"):
        from_einsum("bi,ir->br", (None, 8), (8, 2), inputs=3)
    with pytest.raises(TypeError, match="inputs is an int, not bool"):
        from_einsum("bi,ir->br", (None, 8), (8, 2), inputs=True)
    assert from_einsum("i,i->", (3,), (3,), inputs=np.int64(2)).count("input") == 2
    with pytest.raises(ValueError, match="is no name for a network"):
        from_einsum("bi,ir->br", (None, 8), (8, 2), name="my net")
    with pytest.raises(ValueError, match="is no name for a network"):
        from_einsum("bi,ir->br", (None, 8), (8, 2), name="if")
    with pytest.raises(ValueError, match="one line"):
        from_einsum("bi,\nir->br", (None, 8), (8, 2))
    with pytest.raises(ValueError, match="at most 200,000 characters"):
        from_einsum("i" * 200_001, (2,))
    with pytest.raises(TypeError, match="takes an equation and shapes"):
        from_einsum(None, (2,))
    with pytest.raises(TypeError, match=r"takes an equation and shapes, .*; not bytes"):
        from_einsum(b"i->i", (2,))
    assert "input  x()" in from_einsum(3.0, [], (2,), [0], [0])
    with pytest.raises(TypeError, match="the indices of the first operand are missing"):
        from_einsum((2, 3))


@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        ([0, -1], ValueError, "whole numbers from 0 to"),
        ([0, 10**5000], ValueError, "whole numbers from 0 to"),
        ([0, 1.5], TypeError, "whole numbers, words or `...`, not float"),
        ([0, True], TypeError, "whole numbers, words or `...`, not bool"),
        ([0, " "], TypeError, "whole numbers, words or `...`, not str"),
        ([0, (1, 2)], TypeError, "whole numbers, words or `...`, not tuple"),
        ([..., 0, ...], ValueError, "have `...` twice"),
        ({0, 1}, TypeError, "a list such as .0, 1., not set"),
        (7, TypeError, "a list such as .0, 1., not int"),
        (itertools.count(), ValueError, "more than 10,000 items"),
    ],
)
def test_wrong_indices_are_refused(indices: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        from_einsum((2, 3), indices)


WORDS = ['"""', "\\", "a\nb", "`", "{x}", "é\u2029", "network", "\ud800", "#", "\0", "{", "\u202e"]


@pytest.mark.parametrize("word", WORDS, ids=ascii)
def test_words_never_become_code(word: str) -> None:
    text = from_einsum((2, 3), [word, "j"], (3, 2), ["j", word], inputs=1)
    module = tncompile.loads(text).instantiate().module(search="fast")
    assert module(torch.ones(2, 3)).shape == ()
    assert len(text.splitlines()) == 7


def test_spaces_mean_nothing_and_an_implicit_output_is_alphabetical() -> None:
    assert "output y(i, k)" in from_einsum(" ij , jk ", (2, 3), (3, 4), inputs=0)
    assert "output y(B, a)" in from_einsum("ja,Bj", (2, 3), (4, 2), inputs=0)
    assert "output y(d0, i, k)" in from_einsum("k...j,ji...", (2, 5, 3), (3, 4, 1))
    assert "The einsum `ij,jk->ik`." in from_einsum("ij , jk\u2028-> ik", (2, 3), (3, 4))
