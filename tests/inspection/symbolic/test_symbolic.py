"""Polynomials are the numbers of `cost`, and of other architectures with the same plan."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import tncompile
from tests.acceptance import ACCEPTANCE
from tests.acceptance.reference import cases
from tests.support.golden_programs import PROGRAMS
from tests.support.golden_programs import architecture as program
from tests.support.library import library
from tncompile.inspection.symbolic.cost import SymbolicCost
from tncompile.language.diagnostics.errors import CompileError
from tncompile.lowering import lower
from tncompile.machine.profile import BUILTIN
from tncompile.planning import Cost
from tncompile.simulation.costs import Figures, mode_cost

STD = (
    ("linear", "LowRank(12, 10, rank = 3)"),
    ("linear", "MPO(ins = [4, 3], outs = [2, 2, 3], ranks = 5)"),
    ("linear", "MPO(ins = [4, 8, 6], outs = [8, 4, 2], ranks = [3, 5])"),
    ("linear", "TensorRing(ins = [6], outs = [2, 4])"),
    ("linear", "Tucker(ins = [5, 3], outs = [7])"),
    ("linear", "CP(ins = [5, 3], outs = [4])"),
    ("linear", "BlockTerm(ins = [5, 3], outs = [2, 4])"),
    ("linear", "HierarchicalTucker(ins = [4, 4, 4, 4, 4], outs = [4, 4, 4, 4, 4])"),
    ("linear", "Monarch(ins = [2, 3], outs = [3, 2])"),
    ("linear", "BilinearTN(3, 4, 5)"),
    ("classifier", "TreeClassifier(sites = 5)"),
    ("classifier", "MERAClassifier(sites = 4)"),
    ("generative", "MPSAmplitude(sites = 3)"),
    ("convolution", "Tucker2Conv(8, 12, stride = [2, 2])"),
    ("convolution", "GroupedConv(4, 8, kernel_size = [5], groups = 2)"),
    ("embedding", "TTEmbedding(rows = [4, 3], columns = [3, 2])"),
    ("tables", "TTScores(rows = [4], columns = [3])"),
    ("mixtures", "PickedExperts(ins = [3], outs = [4])"),
    ("adapters", "MetaTT(8, 8)"),
    ("spectral", "ModeMaps(2, 3)"),
)

GOOD = dict(cases(ACCEPTANCE / "good"))
PICKED = tuple(sorted(GOOD))[::7]


def subject(name: str) -> tncompile.Architecture:
    """A block by the name of its test."""
    if name in PROGRAMS:
        return program(name)
    if name in GOOD:
        case = GOOD[name]
        spec = tncompile.load(ACCEPTANCE / "good" / case["file"])
        return spec.instantiate(case["block"], **case["arguments"])
    file, _, target = name.partition(" ")
    return library(file).instantiate(target)


def figures(arch: tncompile.Architecture, cost: Cost, lead: int | None = None) -> Figures:
    """What another architecture costs that is contracted as a plan says."""
    variant, network = cost.chosen[cost.mode], arch.network
    sizes = dict(cost.sizes)
    if lead is not None and network.leading is not None:
        sizes[network.leading] = lead
    lowered = lower(network, variant.tree, variant.schedule, sizes=cost.sizes)
    at = network.with_window_sizes(sizes)
    how = variant.tree, variant.schedule, lowered
    return mode_cost(network, *how, at, BUILTIN, cost.mode).figures


def changes(
    arch: tncompile.Architecture, found: SymbolicCost
) -> Iterator[tuple[str, int, tncompile.Architecture]]:
    """Letters, another value of each, and the block with that one; of a list one item changes."""
    for name, quantity in found.quantities.items():
        if quantity.kind != "parameter":
            continue
        parameter, _, item = name.partition("[")
        for value in (2 * quantity.value, quantity.value + 1):
            held = arch.arguments[parameter]
            changed: int | tuple[int, ...] = value
            if isinstance(held, tuple):
                places = range(len(held)) if not item else [int(item.rstrip("]"))]
                changed = tuple(value if k in places else old for k, old in enumerate(held))
            try:
                yield name, value, arch._with_arguments({parameter: changed})
            except CompileError:
                continue
            break


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize("name", [*(" ".join(case) for case in STD), *PROGRAMS, *PICKED])
def test_polynomials_are_the_numbers_here_and_for_other_arguments(
    name: str, training: bool
) -> None:
    arch = subject(name)
    cost = arch.cost(6, search="fast", training=training)
    found = arch.symbolic(6, search="fast", training=training)
    assert found.parameters.value == arch.network.parameter_count
    assert found.multiply_adds is not None
    assert found.flops is not None
    assert found.multiply_adds.value == cost.figures.multiply_adds
    assert found.flops.value == cost.figures.flops
    steps = [step.multiply_adds.value for step in found.steps]
    assert steps == [step.multiply_adds for step in cost.steps]
    for letter, value, other in list(changes(arch, found))[:3]:
        given = {letter: value}
        assert found.parameters.at(**given) == other.network.parameter_count
        if letter not in found.multiply_adds.fixed:
            numbers = figures(other, cost)
            lengths = other.network.with_window_sizes(cost.sizes)
            windows = other.network.windows  # how these follow from a kernel is not known
            given |= {f"{w.size_name}'": lengths[w.output_leg] for w in windows}
            assert found.multiply_adds.at(**given) == numbers.multiply_adds
            assert found.flops.at(**given) == numbers.flops
    leading = {"...": "B"}.get(arch.network.leading or "", arch.network.leading or "")
    if leading and leading not in found.flops.fixed:
        numbers = figures(arch, cost, lead=11)
        assert found.multiply_adds.at(**{leading: 11}) == numbers.multiply_adds
        assert found.flops.at(**{leading: 11}) == numbers.flops


def instantiated(text: str, target: str = "") -> SymbolicCost:
    return tncompile.loads(text).instantiate(target).symbolic(8, search="fast")


def test_a_list_that_one_number_was_given_for_is_one_letter() -> None:
    target = "MPO(ins = [4, 8], outs = [8, 4], ranks = {})"
    one = library("linear").instantiate(target.format("4")).symbolic(8, search="fast")
    assert str(one.parameters) == "ins[0]·outs[0]·ranks + ins[1]·outs[1]·ranks + outs[0]·outs[1]"
    several = library("linear").instantiate(target.format("[4]")).symbolic(8, search="fast")
    assert "ranks[0]" in str(several.parameters)
    assert one.fixed == ("len(ins) = 2", "len(outs) = 2", "len(ranks) = 1", "with_bias = true")


def test_batched_steps_are_one_only_where_they_stay_equal() -> None:
    """Of a train of sites that are equal in number, but not in letters, each term stays."""
    spec = library("classifier")
    few = spec.instantiate("MPSClassifier(sites = 200)").symbolic(2, search="fast")
    assert few.multiply_adds is not None
    assert len(few.multiply_adds.terms) < 20
    text = """network N(n: int = 100, ranks: int[n - 1]) {
      index p[k in 0..n] = 2
      bond b[k in 0..n - 1] = ranks[k]
      input x[k in 0..n](..., p[k])
      tensor A[k in 0..n](b[k - 1]?, p[k], b[k]?)
      output y(...)
    }"""
    arch = tncompile.loads(text).instantiate("N", ranks=[3] * 99)
    found, cost = arch.symbolic(2, search="fast"), arch.cost(2, search="fast")
    assert found.multiply_adds is not None
    assert len(found.multiply_adds.terms) > 99
    assert found.multiply_adds.value == cost.inference.multiply_adds
    other = arch._with_arguments({"ranks": (3,) * 50 + (7,) + (3,) * 48})
    changed = found.multiply_adds.at(**{"ranks[50]": 7})
    assert changed == figures(other, cost).multiply_adds
    assert "more terms" in found.table()
    assert found.to_dict()["multiply_adds"]["text"].count("ranks[50]") > 1  # type: ignore[index]


SHAPES = """network N(d: int = 24, heads: int = 4, cap: int = 16, wide: bool = false) {
  let e = d // heads
  index i = d, o = e * heads + d % 5
  bond r = min(cap, d), s = if wide then d else cap ** 2
  input x(..., i)
  tensor A(i, r)
  tensor B(r, s)
  tensor C(s, o)
  output y(..., o)
}"""


def test_what_is_no_polynomial_is_a_letter_that_follows() -> None:
    found = instantiated(SHAPES)
    letters = {k: q.what for k, q in found.quantities.items() if q.kind == "derived"}
    assert letters == {"r": "min(cap, d)", "e": "(d // heads)", "(d // 5)": "(d // 5)"}
    assert "r = 16: min(cap, d)" in found.table()
    spec = tncompile.loads(SHAPES)
    for values in ({"d": 12}, {"cap": 30}, {"d": 37, "heads": 3, "cap": 5}):
        network = spec.instantiate("N", **values).network
        assert found.parameters.at(**values) == network.parameter_count
    assert found.fixed == ("wide = false",)
    with pytest.raises(ValueError, match="`wide` stays: the structure"):
        found.parameters.at(wide=1)


def test_a_size_that_is_too_long_to_be_written_out_is_called_by_its_name() -> None:
    text = """network N(a: int = 2, b: int = 3) {
      let q = (a + b + 1) ** 24 // 6 ** 24 + 1
      index i = a, s = %s
      bond r = q
      input x(..., i)
      tensor A(i, r)
      tensor B(r, s)
      output y(..., s)
    }"""
    found = instantiated(text % "log2(b / 2) + 2")
    assert str(found.parameters) == "q·(a + log2((b / 2)) + 2)"
    with pytest.raises(ValueError, match="give `q`, too: it is too long to be written out"):
        found.parameters.at(a=3)
    assert found.parameters.at(a=3, q=5) == 25
    deep = instantiated(text % ("a * 2 ** 30" + " // 2" * 29))
    assert deep.parameters.value == 12


def test_what_decides_the_structure_stays_a_number() -> None:
    text = """network N(n: int = 3, d: int = 4, rank: int = 1, base: int = 2) {
      let sizes = [d] * n + [base] * base
      index i[k in 0..len(sizes)] = sizes[k]
      bond b[k in 0..n] = rank
      input x(..., (i[*]))
      tensor A[k in 0..n](i[k], b[k])
      tensor B[k in 0..n](b[k])
      output y(..., (i[*]))
    }"""
    text = text.replace("(i[k], b[k])", "(i[k], b[k])").replace(
        "output y(..., (i[*]))", "tensor C[k in n..n + base](i[k])\n output y(...)"
    )
    found = instantiated(text)
    assert set(found.fixed) == {"n = 3", "base = 2", "rank = 1"}
    assert str(found.parameters) == "3·d·rank + 3·rank + 4"
    assert found.multiply_adds is not None
    assert "rank" not in str(found.multiply_adds)
    with pytest.raises(ValueError, match=r"`rank` stays: `b.\d.` is 1 here"):
        found.multiply_adds.at(rank=2)


def test_a_window_gives_lengths_their_names() -> None:
    arch = library("convolution").instantiate("Tucker2Conv(8, 12, stride = [2, 2])")
    found = arch.symbolic(2, sizes={"h.0": 21}, search="fast")
    assert found.multiply_adds is not None
    assert found.quantities["h.0'"].value == 10
    cost = arch.cost(2, sizes={"h.0": 33, "h.1": 32}, search="fast")
    figures_at = figures(arch, arch.cost(2, sizes={"h.0": 21}, search="fast"))
    assert figures_at.multiply_adds == found.multiply_adds.value
    assert found.multiply_adds.at(**{"h.0": 33}) == cost.inference.multiply_adds
    with pytest.raises(ValueError, match=r"give `h.0'`, too"):
        found.multiply_adds.at(kernel_size=[5, 3])


def test_what_is_shown_is_ready_for_tools_and_pages() -> None:
    found = instantiated(SHAPES)
    stored = json.loads(json.dumps(found.to_dict()))
    assert stored["parameters"]["value"] == found.parameters.value
    assert {"coefficient": 1, "powers": {"cap": 2, "r": 1}} in stored["parameters"]["terms"]
    assert stored["quantities"]["r"] == {"value": 16, "kind": "derived", "what": "min(cap, d)"}
    assert max(map(len, found.table().splitlines())) <= 100
    assert "<pre" in found._repr_html_()
    assert "&#x27;" in found._repr_html_() or "'" not in found.table()


# ── models ───────────────────────────────────────────────────────────────────────────────────────

MODELS = (
    ("adapters", "LoRETTA"),
    ("encoder", "EncoderBlock"),
    ("encoder", "DecoderBlock"),
    ("recurrent", "LSTMLayers"),
    ("resnet", "Bottleneck"),
    ("spectral", "FNO"),
    ("statespace", "MambaBlock"),
    ("transformer", "LanguageModel"),
    ("vision", "VisionTransformer"),
)


@pytest.mark.parametrize(("file", "block"), MODELS)
def test_parameters_of_models_are_those_of_other_arguments(file: str, block: str) -> None:
    from tncompile.inspection.symbolic.model_cost import parameters_of
    from tncompile.models.costs.tree import parameter_count

    model = library(file).instantiate(block)
    assert isinstance(model, tncompile.Model)
    found, _, reason = parameters_of(model._model)
    assert found is not None, reason
    assert found.value == parameter_count(model._model)
    tried = 0
    for name, quantity in found.quantities.items():
        held = model.arguments.get(name)
        if quantity.kind != "parameter" or not isinstance(held, int):
            continue
        try:
            other = model._with_arguments({name: 2 * held})
        except CompileError:
            continue
        tried += 1
        assert found.at(**{name: 2 * held}) == parameter_count(other._model)
    assert tried


def test_networks_of_a_model_are_those_that_it_calls() -> None:
    text = """import "std/linear.tn" { MPO }
    model Two(rank: int = 3, width: int = 8) {
      part a = MPO([4, 2], [2, 4], rank)
      part b = Linear(width, 2 * width)
      batch n = 4
      input x(..., n, 8)
      output b(a(x))
    }"""
    model = tncompile.loads(text).instantiate("Two")
    assert isinstance(model, tncompile.Model)
    found = model.symbolic(2, search="fast")
    assert str(found.parameters) == "2·(width² + 8·rank + width + 4)"
    (inner,) = found.networks.values()
    assert inner.quantities["B"].value == 8
    assert found.multiply_adds is None
    assert "no polynomial" in found.table()
    assert json.loads(json.dumps(found.to_dict()))["reasons"]["multiply_adds"]
