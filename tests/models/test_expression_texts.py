"""How expressions of models read: as a person would write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from tests.support.typed_calls import Calls, number
from tests.support.written import Written, expression
from tncompile.language.typing.operations import Contract, Entries, Legs, Option, Select
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Kind, Numbers, Shape, Term, Tuple, Value, flattened
from tncompile.models.emission.expressions import Text

T, S = Size.name("t"), Size.name("s")


def text(term: Term, **names: Value) -> str:
    """The expression of a term, where these values have names."""
    (value, *_) = flattened(term)
    assert isinstance(value, Value)
    return expression(value.operation, {value: name for name, value in names.items()})


# ── operators ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("make", "due"),
    [
        (lambda c, x, y: c.operate("*", x, c.operate("+", x, y)), "x * (x + y)"),
        (lambda c, x, y: c.operate("+", x, c.operate("*", x, y)), "x + x * y"),
        (lambda c, x, y: c.operate("-", x, c.operate("-", x, y)), "x - (x - y)"),
        (lambda c, x, y: c.operate("-", c.operate("-", x, y), y), "x - y - y"),
        (lambda c, x, y: c.operate("/", x, c.operate("*", x, y)), "x / (x * y)"),
        (lambda c, x, y: c.operate("**", c.operate("-", x), 2), "(-x) ** 2"),
        (lambda c, x, y: c.operate("-", c.operate("**", x, 2)), "-x**2"),
        (lambda c, x, y: c.operate("**", c.operate("**", x, 2), y), "(x**2) ** y"),
        (lambda c, x, y: c.operate("**", x, c.operate("**", y, 2)), "x ** y**2"),
        (lambda c, x, y: c.operate("**", x, c.operate("-", y)), "x**-y"),
        (lambda c, x, y: c.operate("-", 1, x), "1 - x"),
        (lambda c, x, y: c.operate("*", x, T), "x * t"),
        (lambda c, x, y: c.operate("*", x, T + 1), "x * (t + 1)"),
        (lambda c, x, y: c.operate("*", x, c.operate("**", T, -0.5)), "x * t**-0.5"),
        (lambda c, x, y: c.operate("/", x, 2 * T), "x / (2 * t)"),
        (lambda c, x, y: c.operate("//", x, y), 'torch.div(x, y, rounding_mode="floor")'),
        (
            lambda c, x, y: c.operate("@", x, c.call("transpose", y, -2, -1)),
            "x @ y.transpose(-2, -1)",
        ),
        (lambda c, x, y: c.call("tanh", c.operate("+", x, y)), "(x + y).tanh()"),
        (
            lambda c, x, y: c.operate("and", c.operate(">", x, -1), c.operate("<", x, y)),
            "(x > -1) & (x < y)",
        ),
        (lambda c, x, y: c.operate("not", c.operate("==", x, y)), "~(x == y)"),
        (
            lambda c, x, y: c.operate("==", c.operate("<", x, y), c.operate("<", y, x)),
            "(x < y) == (y < x)",
        ),
        (lambda c, x, y: c.operate("==", c.operate("<", x, y), True), "x < y"),
        (lambda c, x, y: c.operate("!=", c.operate("<", x, y), False), "x < y"),
        (lambda c, x, y: c.operate("==", False, c.operate("<", x, y)), "~(x < y)"),
        (lambda c, x, y: c.operate("==", x, True), "torch.eq(x, True)"),
    ],
)
def test_parentheses_are_those_that_python_needs(
    make: Callable[[Calls, Value, Value], Term], due: str
) -> None:
    calls = Calls()
    x, y = calls.value(T, T, dots=True), calls.value(T, T, dots=True)
    assert text(make(calls, x, y), x=x, y=y) == due


def test_kinds_are_converted_where_torch_would_not() -> None:
    calls = Calls()
    x, ids = calls.value(4), calls.value(4, kind="int")
    flag, other = calls.value(4, kind="bool"), calls.value(4, kind="bool")
    names = {"x": x, "ids": ids, "flag": flag, "other": other}
    for term, due in (
        (calls.operate("*", ids, x), "ids * x"),
        (calls.operate("*", ids, 0.5), "ids.to(x.dtype) * 0.5"),
        (calls.operate("/", ids, 4), "ids.to(x.dtype) / 4"),
        (calls.operate("+", flag, other), "flag.long() + other.long()"),
        (calls.operate("-", 1, flag), "1 - flag.long()"),
        (calls.operate("*", x, flag), "x * flag"),
        (calls.call("sqrt", ids), "ids.to(x.dtype).sqrt()"),
        (calls.call("where", flag, x, 0), "torch.where(flag, x, 0)"),
        (
            calls.call("where", flag, 0.5, 0),
            "torch.where(flag, torch.full((), 0.5, dtype=x.dtype, device=x.device), 0)",
        ),
    ):
        assert text(term, **names) == due


# ── functions ─────────────────────────────────────────────────────────────────────────────────────

Case = tuple[str, tuple[Term, ...], dict[str, Term], str]

CASES: list[Case] = [
    ("gelu", (), {}, "F.gelu(x)"),
    ("gelu", (), {"approximate": "tanh"}, 'F.gelu(x, approximate="tanh")'),
    ("leaky_relu", (), {"negative_slope": 0.2}, "F.leaky_relu(x, negative_slope=0.2)"),
    ("clamp", (-0.5, 0.5), {}, "x.clamp(-0.5, 0.5)"),
    ("clamp", (), {"max": 1}, "x.clamp(max=1)"),
    ("maximum", (0,), {}, "x.clamp(min=0)"),
    ("softmax", (-1,), {}, "x.softmax(-1)"),
    ("normalize", (), {"dim": T}, "F.normalize(x, dim=-2)"),
    ("mean", ((-2, -1),), {}, "x.mean((-2, -1))"),
    ("sum", (-1,), {"keepdim": True}, "x.sum(-1, keepdim=True)"),
    ("std", (-1,), {"correction": 0}, "x.std(-1, correction=0)"),
    ("norm", (-1,), {}, "torch.linalg.vector_norm(x, dim=-1)"),
    ("norm", (-1, float("inf")), {}, "torch.linalg.vector_norm(x, math.inf, dim=-1)"),
    ("topk", (2,), {}, "x.topk(2)"),
    (
        "reshape",
        (Shape((T, number(12), number(64)), True),),
        {},
        "torch.unflatten(x, -1, (12, 64))",
    ),
    ("reshape", (Shape((T * 768,), True),), {}, "x.flatten(-2)"),
    ("reshape", (Shape((T, number(1), number(768)), True),), {}, "x.unsqueeze(-2)"),
    (
        "reshape",
        (Shape((number(1), T, number(768), number(1)), True),),
        {},
        "x[..., None, :, :, None]",
    ),
    ("flatten", (-2,), {}, "x.flatten(-2)"),
    ("permute", ((-1, -2),), {}, "x.transpose(-2, -1)"),
    ("expand", (Shape((T, number(768)), True),), {}, "x"),
    ("split", (Tuple((256, 512)), -1), {}, "torch.split(x, [256, 512], -1)"),
    ("chunk", (3, -1), {}, "x.chunk(3, -1)"),
    ("flip", (-1,), {}, "x.flip(-1)"),
    ("roll", (1, T), {}, "x.roll(1, -2)"),
    ("pad", (1, 2, T), {}, "F.pad(x, (0, 0, 1, 2))"),
    ("pad", (0, 1, -1, 0.5), {}, "F.pad(x, (0, 1), value=0.5)"),
    ("interpolate", (), {"scale": (2,)}, "_interpolated(x, 1, scale_factor=2)"),
    ("fft", (), {}, "torch.fft.fft(x)"),
    ("rfft", (), {"n": 2 * T, "dim": T}, "torch.fft.rfft(x, 2 * t, -2)"),
]


@pytest.mark.parametrize(("function", "arguments", "named", "due"), CASES)
def test_functions_read_as_torch_code(
    function: str, arguments: tuple[Term, ...], named: dict[str, Term], due: str
) -> None:
    calls = Calls()
    x = calls.value(T, 768, dots=True)
    assert text(calls.call(function, x, *arguments, **named), x=x) == due


def test_axes_without_dots_are_moved_by_permute() -> None:
    calls = Calls()
    x = calls.value(3, T, 4)
    assert text(calls.call("permute", x, (2, 0, 1)), x=x) == "x.permute(2, 0, 1)"
    column = calls.call("reshape", calls.call("arange", T), Tuple((T, number(1))))
    assert text(column) == "torch.arange(t, device=x.device).unsqueeze(-1)"


def test_what_is_joined_and_looked_up() -> None:
    calls = Calls()
    x, y = calls.value(T, 4, dots=True), calls.value(T, 4, dots=True)
    table, ids = calls.value(9, 4), calls.value(T, kind="int", dots=True)
    names = {"x": x, "y": y, "table": table, "ids": ids}
    for term, due in (
        (calls.call("concat", x, y, dim=-1), "torch.cat((x, y), -1)"),
        (calls.call("stack", x, y, dim=-2), "torch.stack((x, y), -2)"),
        (calls.call("take", table, ids), "F.embedding(ids, table)"),
        (calls.call("onehot", ids, 9), "F.one_hot(ids, 9).to(x.dtype)"),
        (
            calls.call("gather", x, calls.call("argmax", x, -1, True), -1),
            "x.gather(-1, x.argmax(-1, keepdim=True))",
        ),
        (
            calls.call("zeros", Shape((T, number(4)), True)),
            "torch.zeros((*lead, t, 4), dtype=x.dtype, device=x.device)",
        ),
        (
            calls.call("reshape", Numbers((0.5, 2)), Tuple((2, 1))),
            "torch.tensor([0.5, 2], dtype=x.dtype, device=x.device).unsqueeze(-1)",
        ),
    ):
        assert text(term, **names) == due


# ── items ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("dots", "slots", "due"),
    [
        (True, (number(0), Entries()), "x[..., 0, :]"),
        (True, (T - 1, Entries()), "x[..., -1, :]"),
        (True, (Entries(number(0), T // 2), Entries()), "x[..., : t // 2, :]"),
        (True, (Entries(T // 2, T), Entries()), "x[..., t // 2 :, :]"),
        (True, (Entries(), Entries(number(1), number(3))), "x[..., 1:3]"),
        (True, (Entries(), number(3)), "x[..., 3]"),
        (True, (T // 4, Entries()), "x[..., t // 4, :]"),
        (False, (Entries(number(1), T), Entries()), "x[1:]"),
        (False, (Entries(T - 4, T - 1), Entries()), "x[-4:-1]"),
        (False, (Entries(), number(3)), "x[:, 3]"),
        (False, (number(0), Entries()), "x[0]"),
        (False, (Entries(), Entries()), "x"),
    ],
)
def test_items_read_as_slices(dots: bool, slots: tuple[Entries | Size, ...], due: str) -> None:
    x = Calls().value(T, 4, dots=dots)
    assert expression(Select((x,), slots=slots, span=x.span), {x: "x"}) == due


# ── networks of values ────────────────────────────────────────────────────────────────────────────

SIZES: Mapping[str, Size] = {
    **{"t": T, "s": S, "h": number(12), "e": number(64), "g": number(4), "two": number(2)},
    **{"d": number(768), "o": number(16), "k": number(5)},
}


def legs(written: str) -> Legs:
    """`... t (h e)`, apart at spaces."""
    groups = written.replace("(", " ( ").replace(")", " ) ").split()
    axes: list[tuple[str, ...]] = []
    group: list[str] | None = None
    for word in groups:
        if word == "(":
            group = []
        elif word == ")":
            axes.append(tuple(group or ()))
            group = None
        elif group is not None:
            group.append(word)
        elif word != "...":
            axes.append((word,))
    return Legs(tuple(axes), "..." in groups)


@pytest.mark.parametrize(
    ("operands", "output", "due"),
    [
        (["... t (h e)"], "... h t e", "torch.unflatten(x, -1, (12, 64)).transpose(-3, -2)"),
        (["... h t e"], "... t (h e)", "x.transpose(-3, -2).flatten(-2)"),
        (
            ["... t (two g e)"],
            "... (two g) t e",
            "torch.unflatten(x, -1, (8, 64)).transpose(-3, -2)",
        ),
        (["t s"], "s t", "x.transpose(-2, -1)"),
        (["... t d"], "... t d", "x"),
        (["... t d"], "... t", "x.sum(-1)"),
        (["... h t e", "... h s e"], "... h t s", "x @ y.transpose(-2, -1)"),
        (["... h t s", "... h s e"], "... h t e", "x @ y"),
        (["... h s e", "... h t s"], "... h t e", "y @ x"),
        (["... t d", "d o"], "... t o", "x @ y"),
        (["... t d", "o d"], "... t o", "x @ y.T"),
        (["... t d", "d"], "... t", "x @ y"),
        (["... t", "... s"], "... t s", "x.unsqueeze(-1) * y.unsqueeze(-2)"),
        (["... k", "... k o"], "... o", "(x.unsqueeze(-1) * y).sum(-2)"),
        (["... d", "... d"], "...", "(x * y).sum(-1)"),
        (["... t h e", "h e o"], "... t o", 'torch.einsum("...the,heo->...to", x, y)'),
        (["... t d", "d k", "k o"], "... t o", "x @ y @ z"),
    ],
)
def test_networks_of_values_read_as_products(operands: list[str], output: str, due: str) -> None:
    calls = Calls()
    read = [legs(each) for each in operands]
    values = []
    for each in read:
        sizes = []
        for axis in each.axes:
            size = number(1)
            for name in axis:
                size = size * SIZES[name]
            sizes.append(size)
        values.append(calls.of(Shape(tuple(sizes), each.dots)))
    operation = Contract(
        tuple(values), legs=tuple(read), output=legs(output), sizes=SIZES, span=values[0].span
    )
    assert expression(operation, dict(zip(values, "xyz", strict=False))) == due


# ── attention ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "mask", "due"),
    [
        ({}, None, ""),
        ({"causal": True}, None, ", is_causal=True"),
        ({"causal": True, "grouped": 4}, None, ", is_causal=True, enable_gqa=True"),
        ({"scale": 0.25}, None, ", scale=0.25"),
        ({"dropout": 0.1}, None, ", dropout_p=0.1 if self.training else 0.0"),
        ({}, "float", ", attn_mask=mask"),
        ({"causal": True, "reach": 8}, None, ", attn_mask=_causal(t, t, 8, device=x.device)"),
        ({"causal": True}, "bool", ", attn_mask=mask & _causal(t, t, device=x.device)"),
    ],
)
def test_attention_reads_as_torch_code(
    options: dict[str, Option], mask: Kind | None, due: str
) -> None:
    calls = Calls()
    names = {calls.value(12, T, 64, dots=True): name for name in "qkv"}
    if mask:
        names[calls.value(T, T, kind=mask)] = "mask"
    defaults: dict[str, Option] = {"causal": False, "reach": None, "scale": None, "dropout": 0.0}
    defaults |= {"aligned": True, "grouped": 1, "mask": mask is not None}
    options = {**defaults, **options}
    (q, *_) = names
    value = calls.typing.apply("attention", [*names], "float", q.shape, q.span, options)
    written = expression(value.operation, names)
    assert written == f"F.scaled_dot_product_attention(q, k, v{due})"


def test_strings_are_never_code() -> None:
    calls = Calls()
    x = calls.value(4, dots=True)
    options: dict[str, Option] = {"approximate": 'tanh") + evil("'}
    value = calls.typing.apply("gelu", [x], "float", x.shape, x.span, options)
    written = expression(value.operation, {x: "x"}, Written())
    assert written == 'F.gelu(x, approximate="tanh\\") + evil(\\"")'


def test_operands_are_put_in_parentheses_for_methods() -> None:
    assert Text("2").method("bit_length").code == "(2).bit_length()"
