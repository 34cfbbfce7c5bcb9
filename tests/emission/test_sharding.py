"""Legs shared by processes: what is split, what is refused, what two processes compute."""

from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import tncompile
from tests.support.sharded_cases import CASES, write_cases
from tncompile.cli.application import run
from tncompile.emission.sharding.split import Place, ShardingError, split_leg
from tncompile.network.model import TensorNetwork

ROOT = Path(__file__).parents[2]

TEXT = """
import "std/linear.tn" { MPO, LowRank, Tucker }

network Odd(d: int = 4) {
  batch  s
  index  i = d, k = 3, p[j in 0..2] = 2, o = 4, w = 2
  bond   u = d, one = 1
  input  x(..., i)
  input  ids(..., onehot(k))
  input  z(..., j in 0..2, p[j])
  input  v(..., s, (i w))
  tensor A(i, k, one, u)
  tensor B(u, one, (o p[0]), p[1])
  output y(..., s, (o w))
}
network Shard() {
  index  i = 4, o = 4
  input  x(..., i)
  tensor A(i, o)
  output y(..., o)
}
network Log() {
  index  i = 4, o = 4
  input  x(..., i)
  tensor A(i, o)
  output y(..., o) log
}
network Tied() {
  index  i = 4, o = 4
  bond   u = 4
  input  x(..., i)
  tensor A(i, u)
  tensor B(u, o) tie A
  output y(..., o)
}
"""

MPO = "MPO(ins = [4, 3], outs = [2, 6], ranks = 4)"


def architecture(target: str = MPO) -> tncompile.Architecture:
    """A network of the text above."""
    return tncompile.loads(TEXT).instantiate(target)


def network(target: str = MPO) -> TensorNetwork:
    """The same, built."""
    return architecture(target).network


# ── what is split ──────────────────────────────────────────────────────────────────────────────


def test_a_leg_of_the_output_is_on_a_tensor_and_on_the_bias() -> None:
    found = split_leg(network(), "o[1]")
    assert found.split == {"G.1": 2}
    assert found.inside == {"c": Place(-1, 2, 6, 1)}  # no one piece of its axis
    assert found.inputs == {"x": None}
    assert found.output == Place(-1, 2, 6, 1)
    assert [one.key for one in found.whole] == ["G.0", "c"]
    assert found.once == ()
    assert split_leg(network(), "o[0]").split == {"G.0": 1, "c": 0}


def test_a_bond_is_summed_and_the_bias_is_added_once() -> None:
    found = split_leg(network(), "b[0]")
    assert found.split == {"G.0": 2, "G.1": 0}
    assert found.output is None
    assert found.once == ("c",)
    assert found.whole == ()


def test_a_leg_of_an_input_is_found_inside_its_axis() -> None:
    found = split_leg(network("MPO(ins = [4, 3, 2], outs = [2, 6, 2], ranks = 4)"), "i[1]")
    assert found.inputs == {"x": Place(-1, 4, 3, 2)}
    assert found.opened.index["i[1]"].size is None
    assert found.network.index["i[1]"].size == 3


@pytest.mark.parametrize(
    ("target", "leg", "message", "hint"),
    [
        (MPO, "o[2]", "has no leg `o[2]` to split", "did you mean `o[0]`?"),
        (MPO, "b", "has no leg `b` to split", "did you mean `b[0]`?"),
        (MPO, "middle", "has no leg `middle`", "can be split: i[0], i[1], o[0], o[1], b[0]"),
        ("Odd", "onee", "has no leg `onee`", "legs that can be split: "),  # not `one`, of size 1
        ("Log", "oo", "has no leg `oo`", "split another leg"),  # none can be split
        (MPO, "...", "is known at run time only", "fully_shard"),
        ("Odd", "s", "is known at run time only", "fully_shard"),
        ("Odd", "one", "has size 1", "another leg"),
        ("Odd", "k", "ids of ids(..., onehot(k)) run over `k`", "a bond"),
        ("Odd", "p[1]", "is a leg of slices of z", "a bond"),
        ("Odd", "w", "no parameter carries `w`", "a `tensor` has"),
        ("Shard", "o", "the class `Shard` would hide torch's", "another name"),
        ("Log", "o", "a sign and a logarithm", "`log`"),
        ("Tied", "u", "`A` is used several times, and `u` is not on the same axis", "another leg"),
        ("MPO(ins = [4, 3], outs = [2, 6], inputs = 10)", "i[0]", "`as` cuts off", "the width"),
        ("MPO(ins = [4, 3], outs = [2, 6], outputs = 10)", "o[1]", "`as` cuts off", "the width"),
    ],
)
def test_legs_that_cannot_be_split(target: str, leg: str, message: str, hint: str) -> None:
    with pytest.raises(ShardingError) as caught:
        split_leg(network(target), leg)
    assert message in str(caught.value)
    assert hint in caught.value.hint
    with pytest.raises(tncompile.CompileError) as reported:
        architecture(target).source(shard=leg)
    assert str(reported.value).startswith(f"error[TN503]: {caught.value}")


def test_an_inner_leg_of_a_flattened_axis_of_a_tensor_is_refused() -> None:
    text = """network N() {
      index  i = 4, a = 2, o = 4
      input  x(..., i)
      tensor A(i, (a o))
      output y(..., a, o)
    }"""
    found = tncompile.loads(text).instantiate("N")
    assert split_leg(found.network, "a").split == {"A": 1}
    with pytest.raises(ShardingError, match="not the first leg of the axis"):
        split_leg(found.network, "o")


# ── the source ─────────────────────────────────────────────────────────────────────────────────


def test_the_source_without_a_leg_is_the_same_before_and_after() -> None:
    made = architecture()
    plain = made.source()
    split = made.source(shard="o[0]")
    assert made.source() == plain != split
    assert "distributed" not in plain
    assert split == architecture().source(shard="o[0]")


def test_the_style_says_what_it_splits_and_sends() -> None:
    source = architecture().source(shard="o[0]")
    docstring = source[source.index("class MPOParallel") :].split('"""')[1]
    assert "Shares the 2 entries of leg `o[0]`" in docstring
    assert "Split: G.0 (axis 1), c (axis 0). Whole on every rank: G.1." in docstring
    text = " ".join(docstring.split())
    assert "forward, y is gathered, 48 (nothing with `output_layouts=Shard(-1)`)" in text
    assert "that of x is summed, 48." in text
    assert "the gradients of what is whole, 288 bytes, whatever the batch" in text


@pytest.mark.parametrize(("target", "leg"), [(MPO, "o[1]"), (MPO, "i[1]"), (MPO, "b[0]")])
def test_the_source_is_formatted_and_clean(target: str, leg: str, tmp_path: Path) -> None:
    path = tmp_path / "layer.py"
    path.write_text(architecture(target).source(shard=leg), encoding="utf-8")
    for command in (["format", "--check"], ["check", "--extend-ignore", "N803"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--config", ROOT / "pyproject.toml", path],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("leg", ["o[0]", "i[0]", "i[1]", "b[0]"])
def test_a_sharded_source_runs_in_one_process_like_any_other(leg: str) -> None:
    made = architecture()
    alone = made.module(dtype=torch.float64, seed=0)
    module = made.module(dtype=torch.float64, seed=0, shard=leg)
    module.load_state_dict(alone.state_dict())
    x = torch.randn(5, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for one in (module, copy.deepcopy(module), pickle.loads(pickle.dumps(module)), module.fold()):
        torch.testing.assert_close(one(x), alone(x), rtol=1e-10, atol=1e-10)
    with pytest.raises(ValueError, match=r"x\(\.\.\., \(i\[\*\]\) as inputs\)"):
        module(x[:, :7])


WINDOWS = """
network Tucker2() {
  window h = conv(size = 3, stride = 2, padding = 1)
  window w = conv(size = 3, padding = [1, 2], mode = "circular")
  index  i = 4, o = 6
  bond   a = 2, b = 4
  input  x(..., i, h.in, w.in)
  tensor U(i, a)
  tensor K(a, b, h.kernel, w.kernel)
  tensor V(b, o)
  bias   c(o)
  output y(..., o, h.out, w.out)
}
network CP() {
  window h[a in 0..2] = conv(size = 3, padding = 1)
  index  i = 4, o = 6
  hyper  r = 4
  input  x(..., i, h[*].in)
  tensor A(i, r)
  tensor K[a in 0..2](h[a].kernel, r)
  tensor D(o, r)
  output y(..., o, h[*].out)
}
network Grouped() {
  window h = conv(size = 3, padding = 1)
  index  g = 2, i = 3, o = 2
  input  x(..., (g i), h.in)
  tensor K(g, o, i, h.kernel)
  bias   c(g, o)
  output y(..., (g o), h.out)
}
"""


@pytest.mark.parametrize(
    ("target", "leg"),
    [("Tucker2", leg) for leg in "ioab"] + [("CP", leg) for leg in "ior"] + [("Grouped", "g")],
)
def test_ranks_share_channels_of_a_convolution(target: str, leg: str) -> None:
    """Both parts of the leg, one after the other in one process, make up the whole."""
    made = tncompile.loads(WINDOWS).instantiate(target)
    sharding = split_leg(made.network, leg)
    alone = made.module(dtype=torch.float64, seed=0, search="fast")
    module = made.module(dtype=torch.float64, seed=0, search="fast", shard=leg)
    axes = [axis.length or 5 for axis in made.network.inputs[0].axes if axis.kind == "legs"]
    x = torch.randn(3, *axes, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(module(x), alone(x), rtol=1e-10, atol=1e-10)
    parts: list[torch.Tensor] = []
    for rank in (0, 1):
        part = copy.deepcopy(module)
        for key, parameter in module.named_parameters():
            owner, _, last = key.rpartition(".")
            held = parameter.detach()
            if key in sharding.split:
                held = held.chunk(2, sharding.split[key])[rank]
            elif key in sharding.once and rank:
                held = torch.zeros_like(held)
            part.get_submodule(owner)._parameters[last] = torch.nn.Parameter(held)
        place = sharding.inputs["x"]
        parts.append(part(x if place is None else x.chunk(2, place.axis)[rank]))
    due = alone(x)
    place = sharding.output
    whole = parts[0] + parts[1] if place is None else torch.cat(parts, place.axis)
    torch.testing.assert_close(whole, due, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("leg", ["h", "h.in", "h.out", "h.kernel"])
def test_legs_of_windows_cannot_be_split(leg: str) -> None:
    made = tncompile.loads(WINDOWS).instantiate("Tucker2")
    with pytest.raises(ShardingError, match="legs of window `h` cannot be split: its sums"):
        split_leg(made.network, leg)
    with pytest.raises(tncompile.CompileError, match="split a leg of channels, or a bond"):
        made.source(shard=leg)


def test_a_tensor_may_be_called_like_the_attribute_of_the_style() -> None:
    text = """network N() {
      index  i = 4, o = 4
      input  x(..., i)
      tensor parallel_style(i, o)
      output y(..., o)
    }"""
    module = tncompile.loads(text).instantiate("N").module(shard="o")
    assert isinstance(module.parallel_style, torch.nn.Parameter)


# ── the command line ───────────────────────────────────────────────────────────────────────────


def test_compile_writes_the_style(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "layer.py"
    command = ["compile", "std/linear.tn", "LowRank(8, 8, rank = 2)", "-o", str(out)]
    assert run([*command, "--shard", "o"]) == 0
    assert "class LowRankParallel(ParallelStyle):" in out.read_text(encoding="utf-8")
    out.unlink()
    assert run([*command, "--shard", "q"]) == 1
    assert "has no leg `q` to split" in capsys.readouterr().err
    assert run([*command, "--shard", "o", "--emit", "plan"]) == 2
    assert not out.exists()


# ── two processes ──────────────────────────────────────────────────────────────────────────────

SCENES = ("feed-forward", "layouts", "refusals", "fully_shard", "compile", "page")


def start(rank: int, folder: Path) -> subprocess.Popen[str]:
    """One of the two processes."""
    printed, errors = folder / f"printed{rank}", folder / f"errors{rank}"
    files = str(folder / "meeting"), str(folder / "cases")
    with printed.open("w") as out, errors.open("w") as err:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.support.sharded", str(rank), *files],
            cwd=ROOT,
            stdout=out,
            stderr=err,
            text=True,
        )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """What two processes did as one does, a line each."""
    folder = tmp_path_factory.mktemp("sharded")
    text = (ROOT / "docs" / "sharding.md").read_text(encoding="utf-8")
    for target, leg, name in re.findall(r"tn '(.*)' --shard '(.*)' -o (.*)\n", text):
        call = ["compile", "std/linear.tn", target, "--shard", leg, "-o", str(folder / name)]
        assert run(call) == 0
    write_cases(folder / "cases")
    pair = [start(rank, folder) for rank in (0, 1)]
    try:
        codes = [each.wait(timeout=300) for each in pair]
    finally:
        for each in pair:
            each.kill()
            each.wait()
    errors = [(folder / f"errors{rank}").read_text(encoding="utf-8") for rank in (0, 1)]
    assert codes == [0, 0], "\n".join(text[-3000:] for text in errors)
    return set((folder / "printed0").read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize(("target", "leg"), [(name, leg) for name, legs in CASES for leg in legs])
def test_two_processes_that_share_a_leg_are_one(target: str, leg: str, done: set[str]) -> None:
    assert f"{target}\t{leg}" in done


@pytest.mark.parametrize("scene", SCENES)
def test_two_processes(scene: str, done: set[str]) -> None:
    assert scene in done
