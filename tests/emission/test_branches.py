"""Modules with several programs: who runs when, and that every capability holds for them, too."""

from __future__ import annotations

import inspect
import io
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import tncompile
from tests.support.branching import BRANCHING, Branching, branches
from tests.support.capabilities import CAPABILITIES, Capability, close
from tests.support.emitted import run_alone
from tests.support.modules import tensors
from tncompile.compiler import norm_program
from tncompile.emission import emit
from tncompile.emission.loading import instantiate
from tncompile.emission.module.dispatch import dispatch, planned
from tncompile.initialization.draws import initialize
from tncompile.program.variants import Branch, Branches

ROOT = Path(__file__).parents[2]


def named(name: str) -> Branching:
    """The subject of this block."""
    return next(subject for subject in BRANCHING if str(subject) == name)


@pytest.mark.parametrize(
    ("subject", "capability"),
    [
        pytest.param(subject, capability, id=f"{capability}-{subject}")
        for capability in CAPABILITIES
        for subject in BRANCHING
        if capability.check is not None
        and capability.applies(subject)
        # In bfloat16 a tree at random loses more of a logarithm than planned ones do.
        and (capability.title, str(subject)) != ("autocast", "Log")
        # ONNX begins with what is exported, which has no branches left: two are enough.
        and (capability.title != "ONNX" or str(subject) in ("MPO", "Log"))
    ],
)
@pytest.mark.filterwarnings("ignore:Complex modules are a new feature")
@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.. is deprecated")
def test_manner(subject: Branching, capability: Capability) -> None:
    assert capability.check is not None
    capability.check(subject)


def sizes(subject: Branching, batch: int) -> list[Tensor]:
    """Inputs of this batch size."""
    return subject.inputs(batch, sizes={"n": batch, "s": 3, "t": 2})


@pytest.mark.parametrize("subject", BRANCHING, ids=str)
def test_every_branch_computes_the_same(subject: Branching) -> None:
    module = subject.module(torch.float64)
    invariant = subject.module(torch.float64, batch_invariant=subject.generated.branching)
    for batch in (0, 1, 2, 3, 8, 9, 13):
        inputs = [x.double() if x.is_floating_point() else x for x in sizes(subject, batch)]
        due = tensors(invariant(*inputs))
        with torch.no_grad():
            close(module(*inputs), due, 1e-9)
        with torch.inference_mode():
            close(module(*inputs), due, 1e-9)
        close(module(*inputs), due, 1e-9)


def record(module: nn.Module) -> list[str]:
    """The methods that are called from now on."""
    called: list[str] = []
    for name, method in inspect.getmembers(module, inspect.ismethod):
        if name.startswith(("_contract", "_train", "_infer")):

            def spy(*given: object, name: str = name, method: object = method) -> object:
                called.append(name)
                assert callable(method)
                return method(*given)

            setattr(module, name, spy)
    return called


def test_mode_and_batch_size_decide() -> None:
    module = named("MPO").module()
    called = record(module)
    for batch in (1, 2, 3, 8, 9):
        module(torch.zeros(batch, 6))
    with torch.no_grad():
        for lead in ((1,), (2,), (3,), (2, 4), (3, 3), ()):
            module(torch.zeros(*lead, 6))
    with torch.inference_mode():
        module(torch.zeros(9, 6))
    training = ["_contract_to_8"] * 2 + ["_train_above_2"] * 3
    assert called[:5] == training
    first = called[5]
    assert called[5:] == [first, first, "_contract_to_8", "_contract_to_8", "_infer_above_8",
                          first, "_infer_above_8"]  # fmt: skip


def test_a_batch_invariant_module_runs_one_program() -> None:
    module = named("BilinearTN").module(batch_invariant=True)
    called = record(module)
    for batch in (1, 3, 20):
        module(*sizes(named("BilinearTN"), batch))
        with torch.no_grad():
            module(*sizes(named("BilinearTN"), batch))
    assert set(called) == {"_contract"}
    folded = module.fold()
    called = record(folded)
    for batch in (1, 3, 20):
        folded(*sizes(named("BilinearTN"), batch))
    assert set(called) == {"_contract"}
    module.batch_invariant = False
    assert not module.fold().batch_invariant


LAYOUT = {"aten.view.default", "aten.clone.default", "aten._unsafe_view.default"}
"""Operations that compute nothing."""


class _Operations(TorchDispatchMode):
    """Records the names of all operations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("fold", [False, True])
def test_batch_invariance_is_the_same_operations_in_the_same_order(fold: bool) -> None:
    """Rows of any batch go through the same list of operations.

    Whether a product gives a row the same bits at any number of rows is up to torch: on CPU its
    products of one row, or of other counts, differ in the last bits now and then.
    """
    text = "MPO(ins = [8, 8, 12], outs = [12, 16, 16], ranks = 4)"
    module = tncompile.load("std/linear.tn").instantiate(text).module(
        seed=0, batch=(1, 64), batch_invariant=True
    )  # fmt: skip
    module = module.fold() if fold else module
    x = torch.randn(128, 768, generator=torch.Generator().manual_seed(0))
    seen: list[list[str]] = []
    rows: list[Tensor] = []
    for batch in (1, 7, 64, 128):
        with _Operations() as mode:
            rows.append(module(x[:batch]))
        # What is copied into another layout may be a view where there is one row.
        seen.append([name for name in mode.names if name not in LAYOUT])
    assert all(names == seen[0] for names in seen)
    for row in rows:
        torch.testing.assert_close(row, rows[-1][: len(row)], rtol=0, atol=1e-5)


def test_a_module_without_branches_takes_the_argument_where_it_is_made() -> None:
    subject = named("State")
    same = Branches.single(branches(subject).whole)
    net = subject.network
    made = emit(net, subject.architecture.plan(), same, initialize(net, norm_program))
    assert "batch_invariant" not in made.source
    close(instantiate(made, seed=0, batch_invariant=True)(), instantiate(made, seed=0)())
    close(subject.architecture.module(seed=0, batch_invariant=True)(), instantiate(made, seed=0)())


# ── compilers ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("grad", [False, True])
def test_compilers_see_one_program(grad: bool) -> None:
    subject = named("MPO")
    module = subject.module()
    torch._dynamo.reset()
    graphs: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, examples: list[Tensor]) -> object:
        graphs.append(graph)
        return graph.forward

    made = torch.compile(module, fullgraph=True, dynamic=True, backend=backend)
    with torch.set_grad_enabled(grad):
        for batch in (5, 2, 9, 64, 17):
            close(made(*sizes(subject, batch)), module(*sizes(subject, batch)))
    assert len(graphs) == 1
    assert "cat" not in graphs[0].code


def test_an_export_under_no_grad_takes_any_batch() -> None:
    subject = named("MPO")
    module = subject.module()
    batch = torch.export.Dim("batch")
    with torch.no_grad():
        program = torch.export.export(
            module, tuple(sizes(subject, 19)), dynamic_shapes=({0: batch},)
        )
    held = io.BytesIO()
    torch.export.save(program, held)
    held.seek(0)
    loaded = torch.export.load(held).module()
    for size in (1, 2, 9, 64):
        close(loaded(*sizes(subject, size)), module(*sizes(subject, size)))


def test_gradients_are_settled_in_training_and_not_in_the_folded_twin() -> None:
    source = named("MPO").generated.source
    module, twin = source.split("class MPOFolded(")
    assert "_contiguous_grad(" in module.split("def forward")[1]
    assert "_contiguous_grad(" not in twin


# ── the text ───────────────────────────────────────────────────────────────────────────────────


def test_reasons_and_orders_are_in_the_source() -> None:
    source = named("MPO").generated.source
    assert "if B <= 2:  # few rows\n" in source
    assert "        # hardly any rows, and a reason that is so long" in source
    assert "multiply-adds, 3 of B at a time:" in source
    assert "Runs with gradients for B > 2." in source
    assert "under `torch.compile` and in exports" in source


@pytest.mark.parametrize("subject", BRANCHING, ids=str)
def test_one_program_is_one_method(subject: Branching) -> None:
    """Equal programs are emitted once; where all are equal, nothing is chosen."""
    held = branches(subject)
    net = subject.network
    same = Branches.single(held.whole)
    made = emit(net, subject.architecture.plan(), same, initialize(net, norm_program))
    assert not made.branching
    assert "batch_invariant" not in made.source
    assert "def _contract" not in made.source
    assert made.source.count("def forward(") == 2
    torch.manual_seed(0)
    module = run_alone(made)().double()
    inputs = [x.double() if x.is_floating_point() else x for x in sizes(subject, 3)]
    close(module.fold()(*inputs), module(*inputs))


def test_neighbors_of_one_program_are_one_branch() -> None:
    subject = named("MPO")
    held = branches(subject)
    few, many = held.inference[0].program, held.inference[1].program
    (whole,) = planned([Branch(few, None, "")])
    mode = planned([Branch(few, 3, "a"), Branch(few, 9, "b"), Branch(many, None, "c")])
    chosen = dispatch(subject.network, whole, mode, mode)
    methods = chosen.methods
    assert [(methods[case.method].name, case.up_to) for case in chosen.inference] == [
        ("_contract", 9),
        ("_contract_above_9", None),
    ]
    assert chosen.methods[0].uses == ("for B <= 9", "under `torch.compile` and in exports")


def test_without_run_time_sizes_no_size_decides_and_equal_modes_are_not_told_apart() -> None:
    source = named("State").generated.source
    assert "torch.is_grad_enabled()" not in source
    assert "<=" not in source.split("def forward")[1]
    assert named("State").module().fold()().shape == (2, 2, 2)
