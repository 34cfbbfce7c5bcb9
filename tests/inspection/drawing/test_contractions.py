"""Trees of contractions: nothing on anything else, every tensor a leaf, numbers of the cost."""

from __future__ import annotations

from itertools import combinations

import pytest

import tncompile
from tests.inspection.drawing.faults import faults
from tncompile.inspection.drawing.contractions.draw import MOST_RUNGS, contraction_scene
from tncompile.inspection.drawing.contractions.reading import rungs_of
from tncompile.inspection.drawing.networks.draw import network_scene
from tncompile.inspection.drawing.scene import Scene
from tncompile.planning.plan import Variant
from tncompile.planning.wording import bytes_text, count_text, percent_text

CASES = [
    ("std/linear.tn", "MPO(ins = [4, 8, 8], outs = [8, 8, 4], ranks = 8)"),
    ("std/linear.tn", "TensorRing(ins = [2] * 12, outs = [2] * 12)"),
    ("std/linear.tn", "CP(ins = [4] * 20, outs = [4] * 20)"),
    ("std/linear.tn", "BlockTerm(ins = [8, 8, 8], outs = [8, 8, 8])"),
    ("std/classifier.tn", "TreeClassifier(sites = 64)"),
    ("std/classifier.tn", "MPSClassifier(sites = 784)"),
    ("std/classifier.tn", "MERAClassifier(sites = 32)"),
    ("std/classifier.tn", "PEPSClassifier(rows = 5, columns = 5)"),
    ("std/convolution.tn", "CPConv(8, 8, rank = 4)"),
    ("std/embedding.tn", "TTEmbedding(rows = [16, 16, 16], columns = [8, 8, 8])"),
]


def variant_of(file: str, target: str) -> tuple[tncompile.Architecture, Variant]:
    arch = tncompile.load(file).instantiate(target)
    return arch, arch.cost(batch=64, search="fast").chosen["inference"]


@pytest.mark.parametrize(("file", "target"), CASES)
def test_trees(file: str, target: str) -> None:
    arch, variant = variant_of(file, target)
    scene = contraction_scene(arch.network, variant, network_scene(arch.network))
    assert [fault for fault in faults(scene) if "px wide" not in fault] == []
    assert crossings(scene) == []
    rungs = rungs_of(arch.network, variant)
    read = {name for rung in rungs for side in (rung.left, rung.right) for name in side.tensors}
    assert {t.name for t in arch.network.tensors if t.role == "parameter"} <= read
    titles = {figure.key: figure.title for figure in scene.figures if figure.shape == "rung"}
    assert len(titles) <= MOST_RUNGS + 5
    for rung in rungs:
        step = rung.step
        if len(rungs) <= MOST_RUNGS:
            numbers = count_text(step.multiply_adds), bytes_text(step.bytes)
            for text in (*numbers, percent_text(step.share), step.contraction):
                assert text in titles[f"step {step.result}"]


def crossings(scene: Scene) -> list[tuple[str, str]]:
    """Lines up that go through a rung of something else."""
    up = [w for w in scene.wires if abs(w.start[0] - w.segments[0][0][0]) < 0.05]
    rungs = [w for w in scene.wires if w not in up]
    found = []
    for wire in up:
        x, low, high = wire.start[0], wire.start[1], wire.segments[0][0][1]
        for rung in rungs:
            y, (left, right) = rung.start[1], (rung.start[0], rung.segments[0][0][0])
            if high + 1 < y < low - 1 and left + 1 < x < right - 1:
                found.append((wire.leg, rung.leg))
    for a, b in combinations(up, 2):
        if abs(a.start[0] - b.start[0]) < 3:
            over = min(a.start[1], b.start[1]) - max(a.segments[0][0][1], b.segments[0][0][1])
            if over > 1:
                found.append((a.leg, b.leg))
    return found


def test_legs_end_once() -> None:
    """In a chain without batched steps every index inside is contracted in exactly one step."""
    arch, variant = variant_of("std/linear.tn", "MPO(ins = [4, 8, 8], outs = [8, 8, 4])")
    rungs = rungs_of(arch.network, variant)
    ended = [leg for rung in rungs for leg in rung.contracted]
    assert sorted(ended) == ["b[0]", "b[1]", "i[0]", "i[1]", "i[2]"]
    assert set(rungs[-1].step.indices) == {"...", "o[0]", "o[1]", "o[2]"}


def test_leaves_stand_as_in_the_drawing() -> None:
    arch, variant = variant_of("std/linear.tn", "MPO(ins = [2] * 5, outs = [2] * 5, ranks = 2)")
    scene = contraction_scene(arch.network, variant, network_scene(arch.network))
    leaves = sorted((f.box.x, f.key) for f in scene.figures if f.shape == "tensor")
    assert [key for _, key in leaves] == [f"G[{k}]" for k in range(5)]
