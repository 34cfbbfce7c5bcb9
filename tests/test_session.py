"""What a session and a notebook show, and what calls take: sizes, choices, names, mistakes."""

from __future__ import annotations

import pickle
import re
import traceback
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

import tncompile
from tncompile.architecture import STAGES
from tncompile.simulation.modes import MODES

TEXT = '''\
"""<script>alert("1")</script> & 'more'."""
network Layer(d: int = 4, ranks: int = 2, with_bias: bool = false) {
  index i = d, o = d
  bond b = ranks
  input x(..., i)
  tensor A(i, b)
  tensor B(b, o)
  output y(..., o)
}

network Small = Layer(d = 2)
'''

SPEC = tncompile.loads(TEXT)
ARCH = SPEC.instantiate("Layer")


class _Shown(HTMLParser):
    """The tags of a text, and what is left of it without them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


TABLES: dict[str, Callable[[], object]] = {
    "blocks": lambda: SPEC.blocks,
    "block": lambda: SPEC["Layer"],
    "plan": lambda: ARCH.plan((1, 64), search="fast"),
    "cost": lambda: ARCH.cost(search="fast"),
    "tuning": lambda: SPEC.instantiate("Layer").tune(4, search="fast", seconds=0.01),
}


@pytest.mark.parametrize("name", TABLES)
def test_what_a_session_shows_is_a_table(name: str) -> None:
    held = TABLES[name]()
    shown = repr(held)
    assert shown == str(held).rstrip("\n")
    lines = shown.splitlines()
    assert 2 < len(lines) < 60
    assert max(map(len, lines)) <= 100
    assert lines[-1]
    assert not re.search(r"\b(Variant|Tuning|ContractionPlan|Cost|ParameterSummary)\(", shown)
    html = _Shown(held._repr_html_())  # type: ignore[attr-defined]
    assert html.tags == ["pre"]
    assert html.text == shown


def test_a_plan_shows_its_variants() -> None:
    arch = tncompile.load("std/linear.tn").instantiate("MPO", ins=[4, 8, 8, 4], outs=[4, 8, 8, 4])
    plan = arch.plan((1, 64, 4096), search="fast")
    rows = repr(plan).partition("─\n")[2].splitlines()
    assert len(rows) == sum(len(plan.of(mode)) for mode in MODES)
    for variant, row in zip((one for mode in MODES for one in plan.of(mode)), rows, strict=True):
        if variant.up_to is not None:
            assert f"{variant.up_to:,} " in row
        assert f" at {variant.batch:,}" in row
        assert "iB" in row or " B" in row
    assert len(repr(plan.main)) < 100
    assert repr(plan.alternatives[0]).startswith("Alternative(")


def test_blocks_show_what_they_take() -> None:
    shown = repr(SPEC.blocks)
    assert re.search(r"^Layer +d=, ranks=, with_bias= +<script>alert", shown, re.MULTILINE)
    assert "with_bias  bool = false" in repr(SPEC["Layer"])


# ── blocks by name ──────────────────────────────────────────────────────────────────────────────


def test_blocks_are_found_by_name() -> None:
    assert list(SPEC) == list(SPEC.blocks) == ["Layer", "Small"]
    assert SPEC["Layer"] == SPEC.blocks["Layer"]
    assert "Layer" in SPEC
    assert "layer" not in SPEC
    made = SPEC["Layer"].instantiate(d=8)
    assert made.network == SPEC.instantiate("Layer", d=8).network
    assert SPEC["Small"].instantiate().network.inputs[0].axes[-1].length == 2
    odd = tncompile.loads(TEXT.replace("ranks", "self"))  # a fine name of the language
    assert odd["Layer"].instantiate(self=3).network.parameters[0].shape == (4, 3)
    with pytest.raises(KeyError, match="did you mean 'Layer'"):
        SPEC["Leyer"]
    with pytest.raises(KeyError, match="there are Layer, Small"):
        SPEC.blocks["Convolution"]
    with pytest.raises(tncompile.CompileError, match=r"error\[TN208\]"):
        SPEC["Layer"].instantiate(rank=3)


# ── sizes and choices ───────────────────────────────────────────────────────────────────────────

SEVERAL = {
    "tuple": (1, 64, 512),
    "out of order": (512, 1, 64),
    "twice": [64, 1, 512, 1, 64, 1],
    "numpy": np.array([512, 1, 64]),
    "integers of numpy": [np.int64(64), np.int32(1), np.uint8(1), 512],
    "dictionary keys": {512: 0, 1: 0, 64: 0}.keys(),
    "generator": (8**k for k in (0, 2, 3)),
    "torch": torch.tensor([1, 512, 64]),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_batch_sizes_are_any_sequence_in_any_order(name: str) -> None:
    plan = ARCH.plan(SEVERAL[name], search="fast")  # type: ignore[arg-type]
    assert plan == ARCH.plan((1, 64, 512), search="fast")
    assert plan.batch == 64


def test_ranges_and_single_sizes() -> None:
    assert ARCH.plan(range(1, 4), search="fast").batch == 2
    assert ARCH.plan(np.int64(7), search="fast").batch == 7  # type: ignore[arg-type]
    assert ARCH.plan(np.array(7), search="fast").batch == 7  # type: ignore[arg-type]
    first, again = (ARCH.source(batch=sizes, search="fast") for sizes in ([64, 1], (1, 64)))
    assert first == again
    tuning = SPEC.instantiate("Layer").tune([16, 4], search="fast", seconds=0.01)
    assert [trial.batch for trial in tuning.trials] == [4, 16, 4, 16]


@pytest.mark.parametrize("wrong", ["64", b"64", 6.5, [1, 2.5], [[1]], {"a": 1}, [None], [True]])
def test_what_is_no_batch_size(wrong: object) -> None:
    with pytest.raises(TypeError, match="a batch size is an int"):
        ARCH.plan(wrong)  # type: ignore[arg-type]


def test_no_batch_size_at_all() -> None:
    for batch in ((), [], np.array([], dtype=int)):
        with pytest.raises(ValueError, match="needs at least one batch size"):
            ARCH.plan(batch)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be positive"):
        ARCH.plan([4, 0])


CHOICES: dict[str, tuple[Callable[[str], object], str]] = {
    "minimize": (lambda word: ARCH.plan(minimize=word), "flops"),  # type: ignore[arg-type]
    "search": (lambda word: ARCH.cost(search=word), "thorough"),  # type: ignore[arg-type]
    "the stage": (lambda word: ARCH.describe(word), STAGES[3]),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", CHOICES)
def test_wrong_choices_name_the_right_ones(name: str) -> None:
    call, right = CHOICES[name]
    with pytest.raises(ValueError, match=rf"^{name} is .*; did you mean '{right}'\?$"):
        call(right[:-1])
    with pytest.raises(ValueError, match=rf"^{name} is .*{right}.*, not 'whatever'$"):
        call("whatever")
    with pytest.raises(TypeError, match=rf"^{name} is "):
        call(3)  # type: ignore[arg-type]


def test_modules_say_whether_they_are_batch_invariant() -> None:
    single = ARCH.module(plan=ARCH.plan(4, search="fast"))
    assert single.batch_invariant is True  # it has one program for every size
    spec = tncompile.load("std/linear.tn")
    several = spec.instantiate("BilinearTN", left_features=4, right_features=3, out_features=5)
    for wanted in (True, False):
        assert several.module(batch_invariant=wanted).batch_invariant is wanted


def test_a_file_of_the_library_that_was_meant_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"did you mean std/linear\.tn\?"):
        tncompile.load("std/linaer.tn")


# ── mistakes ────────────────────────────────────────────────────────────────────────────────────

MISTAKES: dict[str, Callable[[], object]] = {
    "loads": lambda: tncompile.loads("network N("),
    "load": lambda: tncompile.load("std/classifier.tn").instantiate("MPSClassifier", sitez=4),
    "instantiate": lambda: SPEC.instantiate("Leyer"),
    "memory limit": lambda: ARCH.plan(memory_limit=1, search="fast"),
    "shard": lambda: ARCH.source(shard="q"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_traceback_ends_with_the_message_and_has_no_frames_of_ours(name: str) -> None:
    with pytest.raises(tncompile.CompileError) as caught:
        MISTAKES[name]()
    error = caught.value
    text = "".join(traceback.format_exception(error))
    assert re.search(r"^tncompile\.CompileError: error\[TN\d{3}\]: ", text, re.MULTILINE)
    assert "During handling" not in text
    assert "direct cause" not in text
    frames = traceback.extract_tb(error.__traceback__)
    package = Path(tncompile.__file__).parent
    ours = {Path(one.filename) for one in frames if package in Path(one.filename).parents}
    assert ours <= {package / "architecture.py", package / "spec.py"}
    first, *_, last = error._render_traceback_()
    assert re.sub(r"\x1b\[[\d;]*m", "", first).startswith("error[TN")
    assert re.fullmatch(r"called in line \d+: .*lambda: .*", last)
    assert len(repr(error)) < 300


def test_mistakes_pass_between_processes() -> None:
    with pytest.raises(tncompile.CompileError) as caught:
        tncompile.loads("network N() {\n  index i = 3, i = 4\n}\nnetwork N() {}\n")
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.diagnostics == caught.value.diagnostics
    assert str(again) == str(caught.value)
