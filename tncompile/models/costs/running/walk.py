"""A model run on symbolic tensors: every operation in order, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tncompile.language.typing.model import Extern, Layer, ModelInput, Part, ResolvedModel
from tncompile.language.typing.operations import (
    Apply,
    CallPart,
    Contract,
    Entries,
    Literal,
    Operation,
    Read,
    Scan,
    Select,
    SizeValue,
    Stored,
)
from tncompile.language.typing.parts.ties import part_tensors
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Shape as ValueShape
from tncompile.language.typing.values import Value
from tncompile.models.contracting import Ordered, joined
from tncompile.models.costs.operations.contractions import contract
from tncompile.models.costs.operations.functions import FUNCTIONS, fourier_flops
from tncompile.models.costs.operations.job import Job, Outcome, foreign, made, viewed
from tncompile.models.costs.running.backward import Node, run_backward
from tncompile.models.costs.running.runner import Runner, alone, shape_at
from tncompile.models.costs.running.runs import (
    Contraction,
    Run,
    Share,
    called,
    outlines,
)
from tncompile.models.costs.running.scans import ahead_of_step, scanned
from tncompile.models.costs.tree import WIDTHS
from tncompile.models.graph.constants import is_fixed, needed
from tncompile.models.graph.hoisting import goes_ahead
from tncompile.models.graph.reading import last_uses, name_of, path_of, results_of
from tncompile.models.graph.sharing import share_products
from tncompile.models.reach import Sizes
from tncompile.models.sizes import require
from tncompile.planning.paths.problem import Path
from tncompile.simulation.kernels import KernelModel, OpCost
from tncompile.simulation.tensors import Allocation, Shape, SymbolicTensor


def run_model(
    runner: Runner,
    model: ResolvedModel,
    operands: Sequence[SymbolicTensor],
    requires_grad: Sequence[bool],
    rows: int,
    sizes: Sizes,
    *,
    frozen: bool,
    whole: bool,
) -> Run:
    """A run of a model; see `Runner.model`."""
    given = dict(zip(model.inputs, operands, strict=True))
    needs = dict(zip(model.inputs, requires_grad, strict=True))
    return _Walk(runner, model, rows, dict(sizes), frozen, whole).run(given, needs)


class _Walk:
    """One model under way."""

    def __init__(
        self,
        runner: Runner,
        model: ResolvedModel,
        rows: int,
        sizes: dict[str, int],
        frozen: bool,
        whole: bool,
    ) -> None:
        self.runner, self.model, self.rows, self.sizes = runner, model, rows, sizes
        self.frozen, self.whole = frozen, whole
        self.kernels = KernelModel(runner.profile, 4)
        self.values: dict[Value, SymbolicTensor] = {}
        self.needs: dict[Value, bool] = {}
        self.nodes: list[Node] = []
        self.shares: dict[Part, Share] = {}
        self.largest: Contraction | None = None
        self.uncounted: set[str] = set()
        self.trained: set[str] = set()  # keys of parameters that have gradients
        self.tensors: dict[Part, dict[str, int]] = {}
        self.forward = OpCost()
        self.elsewhere: dict[int, Allocation] = {}  # of parameters and constants
        self.held: dict[int, Allocation] = {}  # by autograd, or elsewhere

    def run(
        self, given: Mapping[ModelInput, SymbolicTensor], needs: Mapping[ModelInput, bool]
    ) -> Run:
        """Forward and, in training, backward."""
        model, kernels, memory = self.model, self.kernels, self.kernels.memory
        require(model, self.sizes)
        operands = {source: alone(tensor) for source, tensor in given.items()}
        self.held |= {id(each.allocation): each.allocation for each in operands.values()}
        kernels.begin_forward()
        live = needed(model.output)
        shared = share_products([each for each in model.operations if each in live], self._order)
        operations = shared.computed()
        fixed: dict[Value, bool] = {}
        results = results_of(shared, model.output)
        uses = last_uses(operations, model)
        for number, operation in enumerate(operations):
            values = results[operation]
            self._step(operation, values, operands, needs, fixed)
            for value in {*operation.operands, *(v for v in values if v is not None)}:
                if value in self.values and uses.get(value, number) <= number:
                    memory.free(self.values.pop(value))
        returned = [self.values[value] for value in model.output]
        for value in [value for value in self.values if value not in model.output]:
            memory.free(self.values.pop(value))
        kernels.work = self.forward
        kernels.work.spend(kernels.overhead)
        peak, given_operands = memory.peak, list(operands.values())
        numbers = {id(each.allocation): k for k, each in enumerate(given_operands)}
        own = {id(each.allocation): each.allocation.size for each in returned}
        made_bytes = sum(own[key] for key in own.keys() - numbers.keys() - self.elsewhere.keys())
        saved_bytes = memory.live - made_bytes
        saved = {id(t.allocation) for node in self.nodes for t in node.outcome.saved}
        gradients, backward, backward_peak, parameters = self._backward(list(operands), made_bytes)
        return Run(
            self.forward,
            backward,
            peak,
            backward_peak,
            outlines(returned, given_operands),
            saved_bytes,
            tuple(k for key, k in numbers.items() if key in saved),
            tuple(k for k, each in enumerate(returned) if id(each.allocation) in saved),
            gradients,
            parameters,
            tuple(self.shares.values()),
            self.largest,
            frozenset(self.uncounted),
        )

    # ── forward ─────────────────────────────────────────────────────────────────────────────────

    def _step(
        self,
        operation: Operation,
        values: Sequence[Value | None],
        operands: Mapping[ModelInput, SymbolicTensor],
        needs: Mapping[ModelInput, bool],
        fixed: dict[Value, bool],
    ) -> None:
        """Run one operation, and record it where a gradient goes through it."""
        kernels, memory = self.kernels, self.kernels.memory
        known = [value for value in values if value is not None]
        if known and all(is_fixed(value, fixed) for value in known):
            self.values |= {value: self._foreign(value) for value in known}
            return
        match operation:
            case Read(source=source):
                for value in known:
                    self.values[value] = memory.keep(operands[source])
                    self.needs[value] = needs[source]
                return
            case Stored(tensor=stored):
                for value in known:
                    self.values[value] = self._foreign(value)
                    self.needs[value] = self.runner.training and not (stored.frozen or self.frozen)
                return
            case Literal() | SizeValue():
                self.values |= {value: self._foreign(value) for value in known}
                return
        sources = operation.operands
        tensors = [self.values[value] for value in sources]
        requires = tuple(self.needs.get(value, False) for value in sources)
        shapes, widths = self._outlines(operation, values)
        job = Job(kernels, tensors, requires, shapes, widths, {}, self.runner.training)
        kernels.work, before, peak = OpCost(), memory.live, memory.peak
        kernels.recording = any(requires)
        memory.peak = before
        outcome, trained = self._outcome(operation, job)
        memory.peak = max(peak, memory.peak)
        recorded = any(requires) or trained
        if recorded:
            for tensor in outcome.saved:
                memory.keep(tensor)
            self._attribute(operation, outcome)
        for tensor in outcome.scratch:
            memory.free(tensor)
        work, fourier = kernels.work, 0
        if isinstance(operation, Apply) and "dim" in operation.options and tensors:
            dim = operation.options["dim"]
            if isinstance(dim, int):
                fourier = fourier_flops(operation.function, tensors[0].shape, shapes[0], dim)
        counted = isinstance(operation, CallPart | Scan)
        if not counted:
            work.flops = 2 * work.multiply_adds + fourier
            self._note(name_of(operation), work)
        self.forward.add(work)
        for made_value, tensor in zip(values, outcome.results, strict=False):
            if made_value is None:
                memory.free(tensor)
                continue
            self.values[made_value] = tensor
            self.needs[made_value] = recorded and made_value.kind in ("float", "complex")
        if recorded:
            slots = tuple(
                value if needed else None for value, needed in zip(sources, requires, strict=True)
            )
            self.nodes.append(Node(outcome, tuple(values), slots, counted, fourier))

    def _outlines(
        self, operation: Operation, values: Sequence[Value | None]
    ) -> tuple[tuple[Shape, ...], tuple[int, ...]]:
        """Shapes and widths of results; one that nobody reads is as the first one that is read."""
        some = next(value for value in values if value is not None)
        all_values = [some if value is None else value for value in values]
        return (
            tuple(self._shape(value.shape) for value in all_values),
            tuple(WIDTHS[value.kind] for value in all_values),
        )

    def _outcome(self, operation: Operation, job: Job) -> tuple[Outcome, bool]:
        """What an operation does, and whether a parameter behind it is trained."""
        match operation:
            case Apply(function=function, options=options):
                plain = {name: self._plain(option) for name, option in options.items()}
                return FUNCTIONS[function](replace(job, options=plain)), False
            case Contract():
                order = self._order(operation)
                return contract(job, joined(operation), order, self.rows, self.sizes), False
            case Select(slots=slots):
                return self._selected(job, slots), False
            case Scan():
                return self._scan(operation, job)
            case CallPart(part=part) if isinstance(part.callee, Extern):
                self.uncounted.add(part.callee.path)
                self._share(part, Run(OpCost(), OpCost(), 0, 0, ()), 1)
                return made(job), False
            case CallPart():
                run = self._run(operation, job)
                self._share(operation.part, run, 1)
                return self._called(operation.part, job, run)
            case _:
                raise AssertionError(operation)

    def _order(self, operation: Contract) -> Path:
        """The pairs of operands of a `network { … }` to multiply, in order."""
        if isinstance(operation, Ordered):
            return operation.order
        place = joined(operation), goes_ahead(operation, self.model, self.runner.splits)
        return self.runner.orders[self.model.target][place].forward

    def _called(self, part: Part, job: Job, run: Run) -> tuple[Outcome, bool]:
        if part not in self.tensors:
            self.tensors[part] = part_tensors(part)
        return called(job, run, self.tensors[part], self.trained), run.parameters > 0

    def _run(self, call: CallPart, job: Job) -> Run:
        frozen = self.frozen or call.part.frozen
        return self.runner.call(call, job, self.rows, self.sizes, frozen=frozen)

    def _scan(self, scan: Scan, job: Job) -> tuple[Outcome, bool]:
        """A part along an axis."""
        steps = scan.operands[0].shape.axis(scan.axis).at(self.sizes)
        place = len(job.operands[0].shape) + scan.axis
        operands, shapes = [], []
        for k, tensor in enumerate(job.operands):
            shape = tensor.shape
            if k < scan.sequences:
                shape = (*shape[:place], *shape[place + 1 :])
            operands.append(foreign(shape, tensor.width))
        count = scan.outputs or 1
        for k, shape in enumerate(job.shapes):
            shapes.append((*shape[:place], *shape[place + 1 :]) if k < count else shape)
        cell_shapes = tuple(shapes if scan.outputs else shapes[1:])
        widths = job.widths if scan.outputs else job.widths[1:]
        trained = self.runner.training
        requires = tuple(
            needs or (trained and k >= scan.sequences) for k, needs in enumerate(job.requires_grad)
        )
        inner = Job(self.kernels, operands, requires, cell_shapes, widths, {}, self.runner.training)
        run = self._run(scan.step, inner)
        self._share(scan.part, run, steps)
        split = self.runner.splits.get(id(scan.part.callee))
        ahead = 0 if split is None else steps * ahead_of_step(scan, split, operands[0])
        return scanned(job, run, steps, count, ahead), run.parameters > 0

    def _selected(self, job: Job, slots: Sequence[Entries | Size]) -> Outcome:
        """A view of some entries."""
        source = job.operands[0]
        front = len(source.shape) - len(slots)
        strides = list(source.strides[:front])
        for slot, stride in zip(slots, source.strides[front:], strict=True):
            if isinstance(slot, Entries):
                strides.append(stride)
        return viewed(job.shapes[0], tuple(strides))(job)

    def _share(self, part: Part, run: Run, calls: int) -> None:
        self.shares.setdefault(part, Share(part, run)).add(run, calls)
        self.uncounted |= run.uncounted
        inner = run.largest
        seconds = 0.0 if inner is None else calls * inner.seconds
        if inner is not None and (self.largest is None or seconds > self.largest.seconds):
            simple = isinstance(part.callee, Layer)
            name = f"{part.name}: {inner.name}" if simple else path_of(part.name, inner.name)
            self.largest = Contraction(name, seconds)

    def _attribute(self, operation: Operation, outcome: Outcome) -> None:
        """Count what autograd saves to the part that it is saved for first."""
        share = None
        if isinstance(operation, CallPart | Scan):
            share = self.shares[operation.part]
        for tensor in outcome.saved:
            allocation = tensor.allocation
            if id(allocation) not in self.held:
                self.held[id(allocation)] = allocation
                if share is not None:
                    share.saved += allocation.size

    def _note(self, name: str, work: OpCost) -> None:
        """Keep the name of the product that takes the longest."""
        if work.flops and (self.largest is None or work.seconds > self.largest.seconds):
            self.largest = Contraction(name, work.seconds)

    def _backward(
        self, sources: Sequence[ModelInput], made_bytes: int
    ) -> tuple[tuple[bool, ...], OpCost, int, int]:
        """Which inputs get a gradient, the work, the peak, and the bytes of parameters' own."""
        memory = self.kernels.memory
        outputs = [value for value in self.model.output if self.needs.get(value)]
        if not self.nodes or not outputs:
            return (False,) * len(sources), OpCost(), 0, 0
        gradients = {
            value: memory.new(self.values[value].shape, self.values[value].width)
            for value in outputs
        }
        for gradient in gradients.values() if self.whole else ():
            memory.keep(gradient)
        before = memory.peak = memory.live
        total = run_backward(self.kernels, self.nodes, gradients)
        inputs: dict[ModelInput, SymbolicTensor] = {}
        for value, gradient in gradients.items():
            if isinstance(value.operation, Read):
                inputs[value.operation.source] = gradient
        theirs = {id(each.allocation): each.allocation.size for each in inputs.values()}
        parameters = memory.live - made_bytes - sum(theirs.values())
        if self.whole:
            parameters = 0  # no one asks
        got = tuple(source in inputs for source in sources)
        return got, total, memory.peak - before, max(0, parameters)

    # ── sizes ───────────────────────────────────────────────────────────────────────────────────

    def _shape(self, shape: ValueShape) -> Shape:
        return shape_at(shape, self.rows, self.sizes)

    def _foreign(self, value: Value) -> SymbolicTensor:
        tensor = self.kernels.memory.keep(foreign(self._shape(value.shape), WIDTHS[value.kind]))
        self.elsewhere[id(tensor.allocation)] = tensor.allocation
        self.held[id(tensor.allocation)] = tensor.allocation
        return tensor

    def _plain(self, option: object) -> object:
        match option:
            case Size():
                return option.at(self.sizes)
            case ValueShape():
                return self._shape(option)
            case tuple():
                return tuple(self._plain(each) for each in option)
            case _:
                return option
