"""`module.fold()`: the same map for inference, results of parameters in buffers."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

import tncompile
from tests.support.branching import BRANCHING
from tests.support.capabilities import close
from tests.support.golden_programs import PROGRAMS, architecture
from tests.support.modules import ALL, Subject, tensors
from tncompile.emission.text.identifiers import MODULE_ATTRIBUTES, Names
from tncompile.lowering import lower
from tncompile.program.folding import BufferName, fold, remainder
from tncompile.program.operation import renamed, results
from tncompile.program.operations import LoadParameter, StackParameters
from tncompile.program.program import Extent, TensorProgram

SUBJECTS = [pytest.param(held, id=str(held)) for held in ALL] + [
    pytest.param(held, id=f"branching-{held}") for held in BRANCHING
]

each = pytest.mark.parametrize("subject", SUBJECTS)


def inputs(subject: Subject, batch: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Inputs of a batch size."""
    return subject.inputs(batch, dtype=dtype, sizes={"n": batch, "s": 3, "t": 2})


def storages(module: nn.Module) -> set[int]:
    """Where the tensors of a module lie."""
    held = [*module.parameters(), *module.buffers()]
    return {tensor.untyped_storage().data_ptr() for tensor in held if tensor.numel()}


def folded(text: str) -> tuple[nn.Module, nn.Module]:
    """A module of a spec and its folded twin."""
    module = tncompile.loads(text).instantiate().module(seed=0)
    twin = module.fold()
    assert isinstance(twin, nn.Module)
    return module, twin


# ── every module ───────────────────────────────────────────────────────────────────────────────


@each
def test_it_computes_the_same_and_holds_buffers_alone(subject: Subject) -> None:
    module = subject.module(torch.float64)
    twin = module.fold()
    assert type(twin).__name__ == f"{type(module).__name__}Folded"
    assert not list(twin.parameters())
    assert not list(twin.children())
    assert not storages(twin) & storages(module)
    for batch in (0, 1, 2, 5, 20):
        given = inputs(subject, batch, torch.float64)
        with torch.no_grad():
            close(twin(*given), module(*given), 1e-9)
    assert "folded" in repr(twin)
    for name, buffer in twin.named_buffers():
        assert not buffer.requires_grad
        assert not buffer.is_conj()
        if not name.startswith("_"):
            assert name in repr(twin) or "more" in repr(twin)
            assert name in (type(twin).__doc__ or "")


@each
def test_buffers_do_not_share_memory(subject: Subject) -> None:
    twin = subject.module().fold()
    held = list(twin.buffers())
    assert len(storages(twin)) == sum(buffer.numel() > 0 for buffer in held)
    for buffer in held:
        assert buffer.untyped_storage().nbytes() == buffer.numel() * buffer.element_size()


@each
def test_inputs_get_gradients(subject: Subject) -> None:
    module = subject.module(torch.float64)
    twin = module.fold()
    given = [x.requires_grad_() if x.is_floating_point() else x
             for x in inputs(subject, 3, torch.float64)]  # fmt: skip
    leaves = [x for x in given if x.requires_grad]
    if not leaves:
        return
    due = torch.autograd.grad(tensors(module(*given))[-1].sum(), leaves)
    for one, other in zip(torch.autograd.grad(tensors(twin(*given))[-1].sum(), leaves), due,
                          strict=True):  # fmt: skip
        torch.testing.assert_close(one, other)


@each
def test_later_changes_of_parameters_are_not_followed(subject: Subject) -> None:
    module = subject.module()
    twin = module.fold()
    given = inputs(subject, 3)
    before = [part.detach() for part in tensors(twin(*given))]
    with torch.no_grad():
        for tensor in [*module.parameters(), *module.buffers()]:
            tensor.zero_()
    close(twin(*given), before)


@each
def test_it_is_copied_moved_and_stored_as_any_module(subject: Subject) -> None:
    module = subject.module()
    twin = module.fold()
    given = inputs(subject, 3)
    due = tensors(twin(*given))
    close(copy.deepcopy(twin)(*given), due)
    held = io.BytesIO()
    torch.save(twin, held)
    held.seek(0)
    close(torch.load(held, weights_only=False)(*given), due)
    held = io.BytesIO()
    torch.save(twin.state_dict(), held)
    held.seek(0)
    fresh = subject.module(seed=5).fold()
    fresh.load_state_dict(torch.load(held, weights_only=True))
    close(fresh(*given), due)
    double = copy.deepcopy(twin).double()
    assert all(buffer.dtype == torch.float64 for buffer in double.buffers())
    wide = [x.double() if x.is_floating_point() else x for x in given]
    close(double(*wide), [part.double() for part in due], 1e-4)
    assert twin.train().training
    assert not twin.eval().training


@each
def test_complex_parameters(subject: Subject) -> None:
    module = subject.module(torch.complex128)
    given = inputs(subject, 3, torch.complex128)
    twin = module.fold()
    assert not any(buffer.is_conj() for buffer in twin.buffers())
    with torch.no_grad():
        close(twin(*given), module(*given), 1e-9)


@each
def test_meta_and_back(subject: Subject) -> None:
    twin = subject.module(device="meta").fold()
    assert all(buffer.is_meta for buffer in twin.buffers())
    shapes = [part.shape for part in tensors(twin(*(x.to("meta") for x in inputs(subject, 3))))]
    module = subject.module()
    due = tensors(module(*inputs(subject, 3)))
    assert shapes == [part.shape for part in due]
    twin.to_empty(device="cpu").load_state_dict(module.fold().state_dict())
    if any(name == "_like" for name, _ in twin.named_buffers()):
        return
    close(twin(*inputs(subject, 3)), due)


# The capability "compilers on it" compiles and exports all others, of `BRANCHING` too.
@pytest.mark.parametrize("subject", [held for held in (*ALL, *BRANCHING) if str(held) == "Names"])
def test_compiled(subject: Subject) -> None:
    torch._dynamo.reset()
    twin = subject.module().fold()
    made = torch.compile(twin, fullgraph=True, dynamic=True, backend="eager")
    for batch in (4, 1, 9) if subject.network.inputs else (1,):
        with torch.no_grad():
            close(made(*inputs(subject, batch)), twin(*inputs(subject, batch)))


@each
def test_vmap(subject: Subject) -> None:
    if not subject.batched:
        return
    twin = subject.module().fold()
    given = inputs(subject, 4)
    close(torch.func.vmap(twin)(*given), twin(*given))


@dataclass(frozen=True)
class Program(Subject):
    """A program of the goldens: ties, frozen tensors, vocabularies, complex amplitudes."""

    @property
    def architecture(self) -> tncompile.Architecture:
        """Its last block."""
        return architecture(self.target)


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_of_the_goldens_folds(program: str) -> None:
    subject = Program("", program)
    for dtype in (torch.float64, torch.complex128):
        module = subject.module(dtype)
        twin = module.fold()
        assert not storages(twin) & storages(module)
        for batch in (1, 6, 100):
            given = inputs(subject, batch, dtype)
            with torch.no_grad():
                for one, other in zip(tensors(twin(*given)), tensors(module(*given)), strict=True):
                    torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


# ── circumstances ──────────────────────────────────────────────────────────────────────────────


def subject_of(name: str) -> Subject:
    """The subject of this block."""
    return next(held for held in ALL if str(held) == name)


def test_folded_under_autocast_it_has_the_dtype_of_the_parameters() -> None:
    module = subject_of("MPO").module()
    plain = module.fold()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        twin = module.fold()
        made = twin(torch.zeros(3, 6))
    assert made.dtype == torch.bfloat16
    assert all(buffer.dtype == torch.float32 for buffer in twin.buffers())
    for one, other in zip(twin.buffers(), plain.buffers(), strict=True):
        assert torch.equal(one, other)


def test_folded_in_inference_mode_it_still_differentiates() -> None:
    module = subject_of("MPO").module()
    with torch.inference_mode():
        twin = module.fold()
    assert not any(buffer.is_inference() for buffer in twin.buffers())
    x = torch.randn(3, 6, requires_grad=True)
    twin(x).sum().backward()
    assert x.grad is not None


def test_errors_are_those_of_the_module() -> None:
    module = subject_of("MPO").module()
    twin = module.fold()
    for held in (module, twin):
        with pytest.raises(ValueError, match=r"the last axis must have 6 = 2·3 entries"):
            held(torch.zeros(2, 5))
    with pytest.raises(IndexError, match="ids"):
        subject_of("TTEmbedding").module().fold()(torch.tensor([99]))


def test_nothing_to_merge_still_folds() -> None:
    text = "index i = 3, o = 4\n input x(..., i)\n tensor A(i, o)\n output y(..., o)"
    module, twin = folded(f"network N() {{\n {text}\n}}")
    assert list(twin.state_dict()) == ["A"]
    x = torch.randn(5, 3)
    close(twin(x), module(x))


def test_neither_parameters_nor_numbers() -> None:
    text = "network N() {\n index i = 3\n batch n\n input ids(n, onehot(i))\n output y(n, i)\n}"
    module, twin = folded(text)
    ids = torch.tensor([2, 0])
    close(twin(ids), module(ids))
    assert twin.double()(ids).dtype == torch.float64


def test_names_of_buffers_are_in_nobodys_way() -> None:
    module = subject_of("Names").module()
    for name, _ in module.fold().named_buffers():
        assert name.isidentifier()
        assert name not in MODULE_ATTRIBUTES


def test_tables_of_rows_are_contiguous() -> None:
    for held in subject_of("TTEmbedding").module().fold().buffers():
        assert held.is_contiguous()


# ── programs ───────────────────────────────────────────────────────────────────────────────────


def by_keys() -> BufferName:
    """Names for the buffers of one folding."""
    names = Names(["self"])
    return lambda keys, _: names.fresh("_".join(keys))


@pytest.mark.parametrize("subject", ALL, ids=str)
def test_what_is_priced_is_what_is_emitted(subject: Subject) -> None:
    planned = subject.architecture.plan()
    keys = tuple(parameter.key for parameter in subject.network.parameters)
    for variant in planned.of("folded"):
        program = lower(subject.network, variant.tree, variant.schedule)
        (emitted,) = fold((program,), keys, by_keys()).remainders
        priced = remainder(program)
        assert [step.operation for step in unnamed(priced).steps] == [
            step.operation for step in unnamed(emitted).steps
        ]
        assert list(strides(priced)) == list(strides(emitted))


def unnamed(program: TensorProgram) -> TensorProgram:
    """The program with values numbered, and buffers called as the values that load them."""
    made = (name for step in program.steps for name in results(step.operation))
    names = {name: f"v{k}" for k, name in enumerate(made)}
    steps = []
    for step in program.steps:
        operation = renamed(step.operation, names)
        if isinstance(operation, LoadParameter):
            operation = LoadParameter(operation.result, operation.result)
        steps.append(replace(step, operation=operation))
    return replace(program, steps=tuple(steps))


def strides(program: TensorProgram) -> Iterator[tuple[Extent, ...]]:
    """The strides of all values, in the order in which they are computed."""
    for step in program.steps:
        yield from (program.values[name].strides for name in results(step.operation))


def test_equal_computations_of_several_programs_are_one_buffer() -> None:
    subject = subject_of("MPO")
    planned = subject.architecture.plan()
    program = lower(subject.network, planned.whole.tree, planned.whole.schedule)
    other = lower(subject.network, planned.whole.tree, planned.whole.schedule)
    keys = tuple(parameter.key for parameter in subject.network.parameters)
    alone, twice = (fold(held, keys, by_keys()) for held in ((program,), (program, other)))
    assert [held.name for held in alone.buffers] == [held.name for held in twice.buffers]
    assert alone.precomputed == twice.precomputed
    assert twice.remainders[0] == twice.remainders[1]


@pytest.mark.parametrize("subject", ALL, ids=str)
def test_what_is_left_reads_buffers_alone(subject: Subject) -> None:
    planned = subject.architecture.plan()
    keys = tuple(parameter.key for parameter in subject.network.parameters)
    programs = tuple(lower(subject.network, one.tree, one.schedule) for one in planned.of("folded"))
    found = fold(programs, keys, by_keys())
    names = {buffer.name for buffer in found.buffers}
    assert len(names) == len(found.buffers)
    for rest in found.remainders:
        read = [step.operation for step in rest.steps]
        assert not any(isinstance(operation, StackParameters) for operation in read)
        assert {
            operation.key for operation in read if isinstance(operation, LoadParameter)
        } <= names
        fixed = [
            held
            for held in rest.values.values()
            if not held.varying and not held.integer and held.storage == held.name
            and not any(extent.names for extent in held.shape)
        ]  # fmt: skip
        assert len(fixed) <= sum(isinstance(operation, LoadParameter) for operation in read)
