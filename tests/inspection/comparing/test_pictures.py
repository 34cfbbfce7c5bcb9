"""Two drawings beside each other: nothing overlaps, what differs is outlined and said."""

from __future__ import annotations

from functools import cache
from xml.etree import ElementTree

import pytest

import tncompile
from tests.inspection.drawing.faults import faults
from tests.support.library import architecture
from tncompile.inspection.drawing.scene import Figure, Scene, StripBox, Wire

PAIRS = (
    ("linear", "MPO(ins = [4, 8], outs = [8, 4])", "MPO(ins = [4, 8], outs = [8, 4], ranks = 8)"),
    ("linear", "MPO(ins = [4, 8, 2], outs = [8, 4, 2])", "TensorRing(ins = [4, 8], outs = [8, 4])"),
    ("linear", "LowRank(32, 32)", "Tucker(ins = [8, 8, 8], outs = [8, 8, 8])"),
    ("classifier", "MERAClassifier(sites = 4)", "TreeClassifier(sites = 5)"),
    ("transformer", "FeedForward", "FeedForward(dense = false, gated = true)"),
    ("linear", "LowRank(8, 8)", "Interpolative(8, 8, rank = 4)"),
)


CHAIN = """network Chain(n: int = 12) {
  index p[k in 0..n] = 3
  bond b[k in 0..n - 1] = 2
  input x(..., k in 0..n, p[k])
  tensor G[k in 0..n](b[k - 1]?, p[k], b[k]?) INIT
  output y(...)
}"""


@cache
def chains() -> tuple[tncompile.Architecture, tncompile.Architecture]:
    """Two long chains that start otherwise."""
    texts = (CHAIN.replace("INIT", init) for init in ("", "init ones"))
    one, other = (tncompile.loads(text).instantiate() for text in texts)
    return one, other


def wrong(scene: Scene) -> list[str]:
    """Faults of a scene and of what is in its frames."""
    found = [fault for fault in faults(scene) if "px wide" not in fault]
    for figure in scene.figures:
        if figure.inner is not None:
            found += wrong(figure.inner)
    return found


def frames(scene: Scene) -> list[Scene]:
    return [figure.inner for figure in scene.figures if figure.inner is not None]


def outlined(scene: Scene) -> dict[str, str]:
    """The marks of figures, strips and lines by name."""
    parts: list[Figure | StripBox | Wire] = [*scene.figures, *scene.strips, *scene.wires]
    return {
        (each.leg if isinstance(each, Wire) else each.key): each.mark for each in parts if each.mark
    }


def pairs() -> list[tuple[tncompile.Architecture, tncompile.Architecture]]:
    found = [(architecture(file, one), architecture(file, other)) for file, one, other in PAIRS]
    return [*found, chains()]


@pytest.mark.parametrize("place", range(len(PAIRS) + 1))
def test_nothing_is_on_anything(place: int) -> None:
    one, other = pairs()[place]
    found = one.diff(other, search="fast")
    for width in (300, 600, 1600):
        drawing = found.draw(width=width)
        assert wrong(drawing.scene) == []
        first, second = drawing.scene.figures
        assert first.inner is not None
        for frame in (first, second):
            assert frame.inner is not None
            assert frame.inner.extent().width < frame.box.width
            assert frame.inner.extent().height < frame.box.height
    ElementTree.fromstring(drawing.svg)


def test_what_differs_is_outlined() -> None:
    mpo, ring = PAIRS[1][1:]
    found = architecture("linear", mpo).diff(architecture("linear", ring), search="fast")
    first, second = frames(found.draw().scene)
    both = dict.fromkeys(
        ("G[0]", "G[1]", "bias c", "input x", "output y", "b[0]", "b[1]"), "changed"
    )
    assert outlined(second) == both
    assert outlined(first) == {**both, **dict.fromkeys(("G[2]", "i[2]", "o[2]"), "first")}
    titles = {figure.key: figure.title for figure in second.figures}
    assert "; legs i[0], o[0], b[0] → b[0], i[0], o[0], b[1]" in titles["G[0]"]
    legend = dict(found.draw().scene.legend)
    assert legend["changed"] == "solid outline: differs"
    assert legend["first"] == "dashed outline: in A alone"
    assert "second" not in legend


def test_outlines_differ_by_more_than_color() -> None:
    mpo, ring = PAIRS[1][1:]
    found = architecture("linear", ring).diff(architecture("linear", mpo), search="fast")
    svg = found.draw(theme="light").svg
    rules = dict(
        rule.partition("{")[::2] for rule in svg.partition("<style>")[2].split("}") if "c-" in rule
    )
    dashes = {name.split(".")[-1]: rule.rpartition(":")[2] for name, rule in rules.items()}
    assert dashes["c-changed"] == "none"
    assert dashes["c-second"] != "none"
    assert all(f'class="n c-{mark}"' in svg for mark in ("changed", "second"))


def test_only_pictures_with_outlines_have_their_rules() -> None:
    assert ".c-changed" not in architecture("linear", "LowRank(8, 8)").draw().svg


def test_a_folded_tensor_that_differs_outlines_what_stands_for_it() -> None:
    one, other = chains()
    scene = one.diff(other, search="fast").draw().scene
    for inner in frames(scene):
        folds = [figure for figure in inner.figures if figure.members]
        assert folds
        assert all(figure.mark == "changed" for figure in folds)
        assert all(f"{len(figure.members)} of them differ" in figure.title for figure in folds)


def test_blocks_of_models() -> None:
    one, other = (
        architecture("transformer", target)
        for target in ("FeedForward", "FeedForward(dense = false, gated = true)")
    )
    first, second = frames(one.diff(other, search="fast").draw().scene)
    changed = dict.fromkeys(("0 up", "1 gelu", "3 down"), "changed")
    assert outlined(first) == changed
    alone = dict.fromkeys(("0 gate", "1 silu"), "second")
    assert outlined(second) == {**alone, **dict.fromkeys(("2 up", "3 ×", "5 down"), "changed")}


def test_equal_ones_have_no_outline_and_say_so() -> None:
    arch = architecture("linear", "LowRank(8, 8)")
    scene = arch.diff(arch, search="fast").draw().scene
    assert scene.marks() == []
    assert [words for _, words in scene.legend] == [
        "nothing is outlined: the structure is the same"
    ]


def test_names_are_text_and_no_markup() -> None:
    text = "network N(d: int = 4) {\n  index i = d\n  input x(i)\n  tensor t(i)\n  output y()\n}"
    one = tncompile.loads(text, name="<script>&.tn").instantiate()
    other = tncompile.loads(text.replace("int = 4", "int = 5"), name='"><b>\x00.tn').instantiate()
    found = one.diff(other, search="fast")
    drawing = found.draw()
    for written in (drawing.svg, drawing.html(), found._repr_html_()):
        assert "<script" not in written
        assert "<b>" not in written
        assert "&lt;script&gt;" in written
    ElementTree.fromstring(drawing.svg)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"theme": "blue"}, "theme"),
        ({"width": 3}, "width is from 240"),
        ({"width": 10**6}, "width"),
    ],
)
def test_wrong_options(options: dict[str, object], words: str) -> None:
    arch = architecture("linear", "LowRank(8, 8)")
    with pytest.raises(ValueError, match=words):
        arch.diff(arch, search="fast").draw(**options)  # type: ignore[arg-type]


def test_wide_pictures_are_one_above_the_other() -> None:
    one, other = chains()
    found = one.diff(other, search="fast")
    (a, b), (c, d) = (
        [figure.box for figure in found.draw(width=width).scene.figures] for width in (300, 3000)
    )
    assert a.bottom < b.top
    assert a.x == b.x
    assert c.right < d.left
    assert c.y == d.y
