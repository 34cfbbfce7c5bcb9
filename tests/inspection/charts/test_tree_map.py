"""Tree maps: areas are weights, nothing overlaps, small parts are counted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.inspection.charts.reading import description, groups, root_of, title, written
from tests.inspection.charts.samples import KINDS, TREE
from tncompile.inspection.charts.chart import Part, TreeMap
from tncompile.inspection.charts.squarify import squarified
from tncompile.inspection.charts.tree_map import Tile, tiles_of
from tncompile.inspection.drawing.scene import Box

PAGE = Box(300, 200, 600, 400)


def area(box: Box) -> float:
    return box.width * box.height


def check(weights: Sequence[float], boxes: Sequence[Box], whole: Box) -> None:
    """Boxes fill a box, in proportion to weights, and none is on another."""
    total = math.fsum(weights)
    for weight, box in zip(weights, boxes, strict=True):
        assert area(box) == pytest.approx(area(whole) * weight / total, rel=1e-6)
        assert box.left >= whole.left - 1e-6
        assert box.right <= whole.right + 1e-6
        assert box.top >= whole.top - 1e-6
        assert box.bottom <= whole.bottom + 1e-6
    for place, box in enumerate(boxes):
        assert not any(box.overlaps(other, 1e-6) for other in boxes[place + 1 :])


@given(st.lists(st.floats(0.01, 1000), min_size=1, max_size=60), st.floats(20, 900))
@settings(max_examples=100)
def test_areas_are_weights(weights: list[float], wide: float) -> None:
    whole = Box(0, 0, wide, 300)
    check(weights, squarified(weights, whole), whole)


def test_the_example_of_the_paper() -> None:
    """Bruls, Huizing and van Wijk, figure 4: the first rectangles are 3 × 2 of 6 × 4."""
    boxes = squarified([6, 6, 4, 3, 2, 2, 1], Box(3, 2, 6, 4))
    sizes = [(round(box.width, 3), round(box.height, 3)) for box in boxes]
    assert sizes[:4] == [(3, 2), (3, 2), (1.714, 2.333), (1.286, 2.333)]
    assert sizes[4] == (1.2, 1.667)


def frames(tiles: Sequence[Tile], whole: Box) -> Iterator[tuple[Sequence[Tile], Box]]:
    yield tiles, whole
    for tile in tiles:
        if tile.tiles and tile.inner is not None:
            yield from frames(tile.tiles, tile.inner)


def test_within_every_frame_areas_are_weights() -> None:
    found = list(frames(tiles_of(TREE, PAGE), PAGE))
    assert len(found) > 12
    for tiles, whole in found:
        check([tile.weight for tile in tiles], [tile.box for tile in tiles], whole)
        for tile in tiles:
            if tile.inner is not None and tile.tiles:
                assert tile.box.left < tile.inner.left
                assert tile.inner.bottom < tile.box.bottom


def test_frames_are_three_deep_at_most() -> None:
    deep = Part("leaf", 1)
    for k in range(3000):
        deep = Part(f"p{k}", 0, [deep])
    root = root_of(TreeMap("deep", [deep, Part("other", 1)]))
    assert set(groups(root, "part")) == {"p2999", "p2999.p2998", "p2999.p2998.p2997", "other"}


def test_titles_have_path_value_and_share() -> None:
    found = groups(root_of(TREE), "part")
    assert title(found["embed"]) == "embed: 38.6 M (38,597,376), 31.2 %"
    assert title(found["block[3].feed.up"]) == "block[3].feed.up: 2.36 M (2,359,296), 1.91 %"
    assert "dropout" not in found
    assert "1 without weight are left out" in description(root_of(TREE))


def test_small_parts_become_one_and_none_is_lost() -> None:
    parts = [Part("large", 10_000), *(Part(f"s{k}", 1) for k in range(30))]
    tiles = tiles_of(TreeMap("t", parts), PAGE)
    assert [tile.name for tile in tiles] == ["large", "30 more"]
    assert [tile.weight for tile in tiles] == [10_000, 30]
    assert tiles[-1].fill is None


def test_the_own_weight_of_a_frame_is_a_part_of_it() -> None:
    tiles = tiles_of(TreeMap("t", [Part("a", 3, [Part("b", 5)]), Part("c", 2)]), PAGE)
    assert {(tile.path, tile.weight) for tile in tiles[0].tiles} == {("a.b", 5), ("a.(own)", 3)}


def test_colors_of_kinds_are_named() -> None:
    texts = written(root_of(KINDS))
    assert {"layer", "model", "MPO", "other"} <= set(texts)
    by_kind = {each.path: each.fill for each in _leaves(tiles_of(KINDS, PAGE))}
    assert by_kind["block[0].feed.down"] == by_kind["block[1].feed.down"]
    assert by_kind["block[0].feed.down"] != by_kind["block[0].feed.up"]
    with pytest.raises(ValueError, match="colors"):
        TreeMap("t", [], colors="size")  # type: ignore[arg-type]


def _leaves(tiles: Sequence[Tile]) -> Iterator[Tile]:
    for tile in tiles:
        yield from _leaves(tile.tiles) if tile.tiles else (tile,)


def test_what_is_no_tree() -> None:
    with pytest.raises(ValueError, match="below zero"):
        Part("a", -1)
    with pytest.raises(ValueError, match="too large"):
        Part("a", 1.7e308, [Part("b", 1.7e308)])
    with pytest.raises(ValueError, match="depth"):
        TreeMap("t", [], depth=4)
    assert "nothing to show" in written(root_of(TreeMap("t", [Part("a", 0)])))
