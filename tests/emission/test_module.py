"""Manners of emitted modules: all that a layer of `torch.nn` does, they do."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

import tncompile
from tests.support.branching import BRANCHING
from tests.support.capabilities import CAPABILITIES, SIZED, Capability, close
from tests.support.modules import ALL, LIBRARY, STANDARD, Subject, tensors
from tests.support.processes import trained_by_two
from tests.support.table import EMPTY, Table
from tests.test_std_models import FILES

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "modules.md"

Hold = Callable[[Subject, str, str], None]

TRIED = [
    pytest.param(subject, capability, id=f"{capability}-{subject}")
    for capability in CAPABILITIES
    for subject in ALL
    if capability.check is not None and capability.applies(subject)
]


def named(name: str) -> Subject:
    """The subject of this block."""
    return next(subject for subject in ALL if str(subject) == name)


# ── the table ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def hold(request: pytest.FixtureRequest) -> Hold:
    """`hold(subject, title, finding)`: what was found stands in the table of the documentation."""
    update = bool(request.config.getoption("--update-golden"))

    def compare(subject: Subject, title: str, finding: str) -> None:
        if subject not in LIBRARY:
            return
        if update:
            Table.write(TABLE, str(subject), title, finding)
            return
        held = Table.read(TABLE).cells.get((str(subject), title))
        assert held == finding, "docs/modules.md says otherwise: --update-golden"

    return compare


@pytest.mark.parametrize(("subject", "capability"), TRIED)
@pytest.mark.filterwarnings("ignore:Complex modules are a new feature")
@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.. is deprecated")
def test_manner(subject: Subject, capability: Capability, hold: Hold) -> None:
    assert capability.check is not None
    hold(subject, capability.title, capability.check(subject))


READ_AGAIN = """
import pickle, sys, torch
held = pickle.load(open(sys.argv[1], "rb"))
for name, text in held.items():
    module, inputs, due = pickle.loads(text)
    assert module.__class__.__module__.startswith("tncompile_generated_")
    with torch.no_grad():
        made = module(*inputs)
    made, due = (made, due) if isinstance(due, tuple) else ((made,), (due,))
    if all((a - b).abs().max() < 1e-6 for a, b in zip(made, due)):
        print(name)
"""


def test_pickles_are_read_by_a_process_that_never_saw_the_class(tmp_path: Path, hold: Hold) -> None:
    texts: dict[str, bytes] = {}
    modules = {str(subject): (subject.module(), subject.inputs(3)) for subject in ALL}
    for subject in BRANCHING:
        module, inputs = subject.module(), subject.inputs(3, sizes={"n": 3, "s": 3, "t": 2})
        modules |= {f"branching-{type(m).__name__}": (m, inputs) for m in (module, module.fold())}
    for name, (module, inputs) in modules.items():
        with torch.no_grad():
            texts[name] = pickle.dumps((module, inputs, module(*inputs)))
    file = tmp_path / "modules.pickle"
    file.write_bytes(pickle.dumps(texts))
    done = subprocess.run(
        [sys.executable, "-c", READ_AGAIN, str(file)], capture_output=True, text=True, timeout=240
    )
    assert done.stdout.split() == list(texts), done.stderr[-3000:]
    for subject in ALL:
        hold(subject, "pickle", "yes")


def test_two_processes_train_as_one(tmp_path: Path, hold: Hold) -> None:
    batch = 8
    sizes = {"n": batch, "s": 4, "t": 4}
    held = [
        (
            str(one),
            one.module(torch.float64),
            one.inputs(batch, dtype=torch.float64, sizes=sizes),
            (),
        )
        for one in ALL
    ]
    done = trained_by_two(batch, held, tmp_path)
    for capability in ("DDP", "FSDP2"):
        for subject in LIBRARY:
            assert (capability, str(subject)) in done
            hold(subject, capability, "equal")


def test_the_table_has_every_block_and_every_manner(request: pytest.FixtureRequest) -> None:
    for file in STANDARD:
        offered = tncompile.loads(f'import "std/{file}.tn"').blocks
        blocks = [name for name, block in offered.items() if block.kind == "network"]
        assert blocks == [str(subject) for subject in LIBRARY if subject.file == file]
    library = Path(tncompile.__file__).parent / "std"
    files = [path.stem for path in library.glob("*.tn")]
    assert sorted(STANDARD) == sorted(each for each in files if each not in FILES)
    assert all(capability.meaning for capability in (*CAPABILITIES, *SIZED))
    if request.config.getoption("--update-golden"):
        TABLE.write_text(Table.read(TABLE).render(), encoding="utf-8", newline="\n")
        return
    assert Table.read(TABLE).render() == TABLE.read_text(encoding="utf-8"), "--update-golden"
    assert EMPTY not in TABLE.read_text(encoding="utf-8"), "fill it: --update-golden"


# ── parameters ─────────────────────────────────────────────────────────────────────────────────


def test_odd_names_are_kept_where_they_do_no_harm() -> None:
    module = named("Names").module()
    assert set(module.state_dict()) == {"train", "None", "lead"}
    assert module.train().training
    assert module.half().state_dict()["train"].dtype == torch.float16


# ── inputs ─────────────────────────────────────────────────────────────────────────────────────


def test_several_inputs_broadcast() -> None:
    subject = named("Scores")
    module = subject.module()
    q, k = subject.inputs(2, 3)
    close(module(q[:, :1], k[0]), module(q[:, :1].expand(q.shape), k[:1].expand(k.shape)))
    with pytest.raises(ValueError, match=r"leading axes.*do not broadcast.*\(2, 3\) of q"):
        module(q, k[:, :2])


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("MPO", (7, 59), "x(..., (i[*]) as inputs): the last axis must have 6 = 2·3 entries"
         " (i[0], i[1]), got shape (7, 59)"),
        ("Padded", (7, 9), "x(..., (i[*]) as wide): the last axis must have 7 entries"
         " (the first of 9 = 3·3: i[0], i[1]), got shape (7, 9)"),
        ("Grid", (2, 2, 3), "x(..., r in 0..2, c in 0..2, p[r, c]): the last 3 axes must be"
         " 2 (slices), 2 (slices), 2 (p[0, 0]), got shape (2, 2, 3)"),
        ("MPO", (), "the last axis must have 6 = 2·3 entries (i[0], i[1]), got shape ()"),
    ],
)  # fmt: skip
def test_a_wrong_shape_is_told_in_the_words_of_the_spec(
    name: str, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        named(name).module()(torch.zeros(shape))
    assert message in str(caught.value)


def test_batch_axes_that_disagree() -> None:
    subject = named("Member")
    which, x = subject.inputs()
    with pytest.raises(ValueError, match=r"x\(n, i\): n must be as in which"):
        subject.module()(which, x[:-1])


def test_ids_out_of_range_name_the_input() -> None:
    module = named("TTEmbedding").module()
    for wrong in (-1, 12):
        with pytest.raises(IndexError, match=rf"ids.*\[0, 12\), got {wrong}"):
            module(torch.tensor([[3, wrong]]))
    for ids in (torch.zeros(3), torch.zeros(3, dtype=torch.bool)):
        with pytest.raises(TypeError, match=r"ids.*must be integers"):
            module(ids)
    for dtype in (torch.uint8, torch.int8, torch.int16, torch.int32):
        close(module(torch.tensor([3, 7], dtype=dtype)), module(torch.tensor([3, 7])))


@pytest.mark.parametrize(
    ("own", "given", "fix"),
    [
        (torch.float32, torch.float64, "x.to(torch.float32) or module.to(torch.float64)"),
        (torch.float32, torch.int64, "x.to(torch.float32)"),
        (torch.float32, torch.bool, "x.to(torch.float32)"),
        (torch.float32, torch.complex64, "x.to(torch.float32) or module.to(torch.complex64)"),
        (torch.bfloat16, torch.float16, "x.to(torch.bfloat16) or module.to(torch.float16)"),
        (torch.complex64, torch.float32, "x.to(torch.complex64)"),
    ],
)
@pytest.mark.parametrize("name", ["MPO", "Unequal", "Grid", "Scores", "Padded", "Log"])
def test_an_input_of_another_dtype_is_named(
    name: str, own: torch.dtype, given: torch.dtype, fix: str
) -> None:
    """Whether tensors of the module are its own, of families, of rows of families, or buffers."""
    subject = named(name)
    module = subject.module(own)
    inputs = subject.inputs(2)
    first = subject.network.inputs[0].written
    for held in (module, module.fold()):
        with pytest.raises(TypeError) as caught:
            held(*(x.to(given) for x in inputs))
        message = f"{first}: expected {own} as the module has, got {given}: {fix}"
        assert str(caught.value) == message
        assert tensors(held(*(x.to(own) for x in inputs)))[0].dtype == own


def test_the_member_of_a_family_of_inputs_that_is_wrong_is_named() -> None:
    module = named("Several").module()
    x, y, z = named("Several").inputs(2)
    with pytest.raises(
        TypeError, match=re.escape("x[1] of x[k in 0..n](..., i[k]): expected torch")
    ):
        module(x, y.double(), z)
    with pytest.raises(
        ValueError, match=re.escape("x[2] of x[k in 0..n](..., i[k]): the last axis")
    ):
        module(x, y, z[:, 1:])


def test_autocast_takes_floats_of_other_dtypes() -> None:
    for name in ("MPO", "Unequal", "Padded"):
        module = named(name).module()
        (x,) = named(name).inputs(4)
        for held in (module, module.fold()):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                due = held(x)
                close(held(x.bfloat16()), due, 0.1)
                with pytest.raises(TypeError, match=r"got torch\.int64"):
                    held(x.long())


def test_tensors_that_are_made_anew_by_each_call_are_not_in_the_way() -> None:
    class Half(nn.Module):
        def forward(self, tensor: Tensor) -> Tensor:
            return tensor / 2

    for name, holder, key in (("MPO", "", "c"), ("Unequal", "G", "0")):
        module = named(name).module()
        (x,) = named(name).inputs(4)
        before = module(x)
        own = module.get_submodule(holder)
        parametrize.register_parametrization(own, key, Half())
        with torch.no_grad():
            getattr(own.parametrizations, key).original.mul_(2)
        close(module(x), before)


# ── the class ──────────────────────────────────────────────────────────────────────────────────


def test_equal_sources_are_one_class() -> None:
    subject = named("MPO")
    assert type(subject.module()) is type(subject.module(seed=3))


def test_a_traceback_shows_the_emitted_line() -> None:
    module = named("MPO").module()
    module.G[0] = nn.Parameter(module.G[0].double())
    with pytest.raises(RuntimeError) as caught:
        module(torch.zeros(2, 6))
    assert "self.G[0].reshape(" in "".join(traceback.format_exception(caught.value))


def test_ids_are_checked_inside_a_gradient_and_not_under_vmap() -> None:
    module = named("TTEmbedding").module()
    torch.func.vmap(module)(torch.tensor([[3, 4]]))
    with pytest.raises(IndexError, match="ids"):
        torch.func.grad(lambda scale: (scale * module(torch.tensor([50]))).sum())(torch.ones(()))


def test_training_lowers_the_loss() -> None:
    subject = named("MPO")
    module = subject.module()
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    (x,) = subject.inputs(32)
    target = x.flip(-1)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = (module(x) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"memory_limit": "2G"}, TypeError, "the memory limit is an int, not '2G'"),
        ({"memory_limit": -5}, ValueError, "a positive number of bytes, not -5"),
        ({"shard": 3}, TypeError, "shard is a str, not int"),
        ({"machine": 3}, TypeError, "machine is a str, not int"),
        ({"seed": "a"}, TypeError, "a seed is an int, not 'a'"),
        ({"dtype": torch.int64}, TypeError, "real or complex numbers, not torch.int64"),
        ({"dtype": 3}, TypeError, "3 is not a dtype of torch"),
    ],
)
def test_wrong_options_are_told(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    arch = tncompile.loads('import "std/linear.tn" { LowRank }').instantiate("LowRank(4, 4)")
    with pytest.raises(error, match=re.escape(message)):
        arch.module(**options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_told() -> None:
    arch = tncompile.loads('import "std/linear.tn" { LowRank }').instantiate("LowRank(4, 4)")
    with pytest.raises(ValueError, match="torch sees no CUDA device"):
        arch.module(device="cuda")
