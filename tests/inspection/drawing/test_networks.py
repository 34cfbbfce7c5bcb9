"""Drawings without a browser: nothing on anything else, every leg there, type that can be read."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

import tncompile
from tests.inspection.drawing.faults import faults
from tests.inspection.drawing.random_networks import random_network
from tests.inspection.drawing.subjects import STD, programs, std_network
from tests.support.library import library
from tests.support.strategies import network, random_sketch
from tncompile.inspection.drawing.layout import subject as subjects
from tncompile.inspection.drawing.networks.draw import drawn, network_scene
from tncompile.inspection.drawing.networks.families import grid_of
from tncompile.inspection.drawing.scene import Scene, Wire

TARGETS = [(file, target) for file, targets in STD.items() for target in targets]


def of(text: str) -> Scene:
    return network_scene(tncompile.loads(text).instantiate().network)


@pytest.mark.parametrize(("file", "target"), TARGETS)
def test_blocks_of_the_library(file: str, target: str) -> None:
    subject, scene = drawn(std_network(file, target))
    assert faults(scene, subject) == []


def test_every_network_of_the_library_is_among_them() -> None:
    named = {target.partition("(")[0] for _, target in TARGETS}
    for file in STD:
        spec = library(file)
        networks = {name for name in spec.blocks if spec.blocks[name].kind == "network"}
        assert networks <= named, file


@pytest.mark.parametrize("name", sorted(programs()))
def test_programs(name: str) -> None:
    subject, scene = drawn(programs()[name])
    assert faults(scene, subject) == []


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs(seed: int) -> None:
    subject, scene = drawn(random_network(seed))
    assert faults(scene, subject) == []


@pytest.mark.parametrize("seed", range(40))
def test_random_networks_with_slices_and_ids(seed: int) -> None:
    subject, scene = drawn(network(random_sketch(seed)))
    assert faults(scene, subject) == []


UNFOLDED = (
    ("classifier", "TreeClassifier(sites = 64)"),
    ("classifier", "MPSClassifier(sites = 40)"),
    ("linear", "CP(ins = [4] * 12, outs = [4] * 12)"),
    ("linear", "MPO(ins = [2] * 20, outs = [2] * 20)"),
    ("linear", "TensorRing(ins = [2] * 16, outs = [2] * 16)"),
    ("linear", "HierarchicalTucker(ins = [2] * 16, outs = [2] * 16)"),
    ("classifier", "PEPSClassifier(rows = 9, columns = 9)"),
)


@pytest.mark.parametrize(("file", "target"), UNFOLDED)
def test_unfolded_drawings_show_every_tensor_and_scroll(file: str, target: str) -> None:
    net = std_network(file, target)
    subject, scene = drawn(net, unfolded=True)
    assert [fault for fault in faults(scene, subject) if "px wide" not in fault] == []
    shown = {figure.key for figure in scene.figures}
    assert {t.name for t in net.tensors if t.role == "parameter"} <= shown


# ── what is where ─────────────────────────────────────────────────────────────────────────────────


def test_inputs_are_below_and_the_output_is_above_all_tensors() -> None:
    scene = network_scene(std_network("linear", "Tucker(ins = [8, 8, 8], outs = [8, 8, 8])"))
    y = {figure.key: figure.box.y for figure in scene.figures}
    strips = {strip.role: strip.box.y for strip in scene.strips}
    assert strips["output"] < y["V[0]"] < y["Core"] < y["U[0]"] < strips["input"]


def test_a_train_is_a_row_with_upright_legs() -> None:
    scene = network_scene(std_network("linear", "MPO(ins = [4, 8, 8, 4], outs = [4, 8, 8, 4])"))
    cores = [figure.box for figure in scene.figures if figure.key.startswith("G")]
    assert len({box.y for box in cores}) == 1
    assert [box.x for box in cores] == sorted(box.x for box in cores)
    for wire in scene.wires:
        if wire.leg.startswith(("i[", "o[")):
            assert wire.start[0] == pytest.approx(wire.segments[-1][-1][0], abs=0.5)


def test_a_ring_returns_below() -> None:
    scene = network_scene(std_network("linear", "TensorRing(ins = [4] * 4, outs = [4] * 4)"))
    lowest = max(f.box.bottom for f in scene.figures if f.key.startswith("G"))
    back = next(wire for wire in scene.wires if wire.leg == "b[0]")
    assert max(y for _, y in back.points()) > lowest


def test_a_hyperedge_is_one_dot_with_a_line_an_end() -> None:
    scene = network_scene(std_network("linear", "CP(ins = [8, 8, 8], outs = [8, 8, 8])"))
    assert [disk.leg for disk in scene.disks if disk.kind == "dot"] == ["r"]
    assert sum(wire.leg == "r" for wire in scene.wires) == 6


def test_lines_are_wider_for_larger_sizes_and_dotted_for_one() -> None:
    scene = of(
        "network N() { index i = 2, o = 2 bond a = 1, b = 64 input x(i) tensor A(i, a, b)"
        " tensor B(a, b, o) output y(o) }"
    )
    wires = {wire.leg: wire for wire in scene.wires}
    assert wires["a"].kind == "one"
    assert wires["b"].width > wires["i"].width


def test_shared_tied_and_frozen_tensors() -> None:
    scene = network_scene(std_network("generative", "MPSNorm(sites = 3)"))
    figures = {figure.key: figure for figure in scene.figures}
    assert figures["A[1]"].shade == figures["A2[1]"].shade is not None
    assert figures["A[0]"].shade != figures["A[1]"].shade
    words = "".join(span.text for span in figures["A2[1]"].label)
    assert words.endswith("= A*")
    frozen = of("network N() { index i = 2, o = 2 input x(i) tensor A(i, o) frozen output y(o) }")
    assert [f.frozen for f in frozen.figures] == [True]
    assert ("frozen", "frozen") in frozen.legend


def test_padding_is_hatched() -> None:
    scene = network_scene(
        std_network("linear", "MPO(ins = [4, 8], outs = [8, 4], inputs = 30, outputs = 32)")
    )
    cells = {strip.role: strip.cells[-1] for strip in scene.strips}
    assert cells["input"].padded > 0
    assert cells["output"].padded == 0
    assert "".join(span.text for span in cells["input"].text) == "30 of 32"


def test_windows_are_hexagons_with_three_legs() -> None:
    subject, scene = drawn(std_network("convolution", "Tucker2Conv(64, 64)"))
    windows = {figure.key for figure in scene.figures if figure.shape == "window"}
    assert windows == {"window h[0]", "window h[1]"}
    assert subject.nodes["window h[0]"].legs == ("h[0].in", "h[0].kernel", "h[0].out")


# ── folding ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("file", "target"),
    [
        ("classifier", "MPSClassifier(sites = 784)"),
        ("classifier", "TreeClassifier(sites = 64)"),
        ("classifier", "TreeClassifier(sites = 1000)"),
        ("classifier", "MERAClassifier(sites = 256)"),
        ("classifier", "PEPSClassifier(rows = 20, columns = 9)"),
        ("linear", "CP(ins = [4] * 15, outs = [2] * 20)"),
    ],
)
def test_what_is_folded_is_counted(file: str, target: str) -> None:
    net = std_network(file, target)
    subject, scene = drawn(net)
    assert subject.folded
    assert len(scene.figures) < 60
    counted = sum(node.count for node in subject.nodes.values() if node.sign != "window")
    assert counted == sum(tensor.role == "parameter" for tensor in net.tensors)


def test_a_label_in_the_middle_of_a_chain_stays() -> None:
    scene = network_scene(std_network("classifier", "MPSClassifier(sites = 784)"))
    assert {"Label", "A[0]", "D[783]"} <= {figure.key for figure in scene.figures}


def test_thousands_of_tensors() -> None:
    chain = network_scene(std_network("classifier", "MPSClassifier(sites = 5000)"))
    tree = network_scene(std_network("classifier", "TreeClassifier(sites = 4096)"))
    assert len(chain.figures) < 20
    assert len(tree.figures) < 60


def test_graphs_without_rows_are_placed_by_distances() -> None:
    lines = [f"bond e{a}_{b} = 2" for a in range(11) for b in range(a + 1, 11)]
    for a in range(11):
        legs = [f"e{min(a, b)}_{max(a, b)}" for b in range(11) if b != a]
        ends = {0: ["i"], 10: ["o"]}.get(a, [])
        lines.append(f"tensor T{a}({', '.join(legs + ends)})")
    text = "\n".join(
        ["network N() {", "index i = 3, o = 3", "input x(i)", *lines, "output y(o)", "}"]
    )
    net = tncompile.loads(text).instantiate().network
    subject, scene = drawn(net)
    assert grid_of(subject) is None
    assert len({round(figure.box.y) for figure in scene.figures}) > 4
    assert not [fault for fault in faults(scene, subject) if "lie on each other" not in fault]


# ── the checks themselves ─────────────────────────────────────────────────────────────────────────


def good() -> tuple[subjects.Subject, Scene]:
    return drawn(std_network("linear", "MPO(ins = [4, 8, 8, 4], outs = [4, 8, 8, 4])"))


def test_the_checks_see_a_leg_that_is_missing() -> None:
    subject, scene = good()
    scene.wires = [wire for wire in scene.wires if wire.leg != "b[1]"]
    assert any("b[1] is drawn 0 times" in fault for fault in faults(scene, subject))


def test_the_checks_see_a_leg_that_is_drawn_twice() -> None:
    subject, scene = good()
    scene.wires.append(next(wire for wire in scene.wires if wire.leg == "b[1]"))
    assert any("b[1] is drawn 2 times" in fault for fault in faults(scene, subject))


def test_the_checks_see_legs_that_lie_on_each_other() -> None:
    subject, scene = good()
    wires = {wire.leg: wire for wire in scene.wires}
    twin: Wire = replace(wires["i[1]"], leg="i[0]", joins=wires["i[0]"].joins)
    scene.wires = [wire for wire in scene.wires if wire.leg != "i[0]"] + [twin]
    assert any("lie on each other" in fault for fault in faults(scene, subject))


def test_the_checks_see_nodes_and_labels_that_overlap() -> None:
    subject, scene = good()
    first, second = scene.figures[:2]
    scene.figures[1] = replace(second, box=replace(first.box, x=first.box.x + 5))
    assert any("is on" in fault for fault in faults(scene, subject))
    subject, scene = good()
    scene.labels.append(replace(scene.labels[0], x=scene.labels[0].x + 1))
    assert any("the label of" in fault for fault in faults(scene, subject))


def test_the_checks_see_small_type() -> None:
    subject, scene = good()
    label = scene.labels[0]
    scene.labels[0] = replace(label, line=(replace(label.line[0], size=6.0),))
    assert any("px wide" in fault for fault in faults(scene, subject))


@pytest.mark.parametrize(("layers", "columns"), [(2, 3), (2, 9), (3, 4)])
def test_layers_of_grids(layers: int, columns: int) -> None:
    """Sites of one place are near each other, neighbors of a layer are in line."""
    names = "ABC"[:layers]
    sites = f"r in 0..3, c in 0..{columns}"
    bonds = "".join(
        f"bond h{name}[r in 0..3, c in 0..{columns - 1}] = 2\n"
        f"bond v{name}[r in 0..2, c in 0..{columns}] = 2\n"
        for name in names
    )
    tensors = ""
    for number, name in enumerate(names):
        below = "i[r, c]" if not number else f"m{number - 1}[r, c]"
        above = "o[r, c]" if number == layers - 1 else f"m{number}[r, c]"
        own = f"h{name}[r, c - 1]?, h{name}[r, c]?, v{name}[r - 1, c]?, v{name}[r, c]?"
        tensors += f"tensor {name}[{sites}]({below}, {above}, {own})\n"
    between = "".join(f"bond m{number}[{sites}] = 2\n" for number in range(layers - 1))
    text = (
        f"network N() {{\nindex i[{sites}] = 2, o[{sites}] = 2\n{bonds}{between}"
        f"input x(..., (i[*]))\n{tensors}output y(..., (o[*]))\n}}"
    )
    net = tncompile.loads(text).instantiate().network
    subject, scene = drawn(net, width=1200)
    assert [fault for fault in faults(scene, subject) if "px wide" not in fault] == []
    box = {figure.key: figure.box for figure in scene.figures}
    assert box["A[0, 0]"].y == box["A[0, 1]"].y
    assert box["A[0, 0]"].x == box["A[1, 0]"].x
    for one, other in pairwise(names):
        here, there = box[f"{one}[1, 0]"], box[f"{other}[1, 0]"]
        aside = box[f"{other}[0, 1]"].x - box[f"{one}[0, 1]"].x
        assert there.x - here.x == pytest.approx(aside)
        assert there.x > here.x
        assert there.y < here.y
