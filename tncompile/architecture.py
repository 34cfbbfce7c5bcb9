"""What a user holds: a spec (a file), and an architecture (one block of it with its arguments)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, assert_never, get_args

from tncompile.blocks import Block, Blocks
from tncompile.files import lock_path
from tncompile.language.diagnostics.diagnostic import Code, CompileError, Diagnostic, Label
from tncompile.language.diagnostics.spelling import one_of
from tncompile.language.syntax.source import SourceFile, Span

if TYPE_CHECKING:
    import torch

    from tncompile.compiler import Options
    from tncompile.emission import GeneratedModule
    from tncompile.language.linked import LinkedProgram
    from tncompile.language.resolved import ResolvedNetwork
    from tncompile.network.einsum import Indices, Shape
    from tncompile.network.model import TensorNetwork
    from tncompile.planning import ContractionPlan, Cost
    from tncompile.planning.selection import Minimize, Search
    from tncompile.tuning.autotuner import Tuning
    from tncompile.typed import TensorNetworkModule

Progress = Callable[[int, int], None]

Stage = Literal["program", "network", "plan", "tensor-program", "torch"]

STAGES: tuple[Stage, ...] = get_args(Stage)
"""What `Architecture.describe` shows, in the order of the pipeline."""

DEFAULT_BATCH = 64


class Spec:
    """A `.tn` file that parses and whose named instances are right.

    `spec["MPO"]` is one of its `blocks`, `"MPO" in spec` says whether there is such a block, and a
    spec iterates over their names.
    """

    def __init__(self, linked: LinkedProgram, file: Path | None = None) -> None:
        self._linked = linked
        self._file = file  # that a lock may stand beside

    def __repr__(self) -> str:
        return f"Spec({self._linked.source.name!r}, blocks={list(self.blocks)})"

    def __getitem__(self, name: str) -> Block:
        """The block of this name. Raises KeyError with the name that was probably meant."""
        return self.blocks[name]

    def __contains__(self, name: object) -> bool:
        return name in self.blocks

    def __iter__(self) -> Iterator[str]:
        return iter(self.blocks)

    @cached_property
    def blocks(self) -> Blocks:
        """What can be instantiated, by name; imported blocks too. It prints as a table."""
        return Blocks(
            {
                name: Block(name, block.kind, block.parameters, block.doc, self.instantiate)
                for name, block in self._linked.blocks.items()
            }
        )

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What is odd about the file without being wrong."""
        return self._linked.warnings

    def describe(self) -> str:
        """The canonical source of the file."""
        return self._linked.program.describe()

    def instantiate(self, target: str = "", /, **arguments: object) -> Architecture:
        """A block with its arguments.

        `target` is a name, or a call in the language (`"MPO(ins = [4, 8], outs = [8, 4])"`); with
        nothing at all it is the one block of the file. Keyword arguments are integers, booleans,
        floats and lists of integers, arrays of one axis included. Raises `CompileError` with all
        that is wrong.
        """
        from tncompile.language.resolving import resolve

        _require_text("target", target)
        try:
            resolved = resolve(self._linked, target, arguments)
        except CompileError as error:
            raise error.with_traceback(None) from None  # our own frames say nothing about a spec
        return Architecture(resolved, self._linked, file=self._file)


class Architecture:
    """One network with all its sizes: its source, its cost, its module.

    Plans come from the lock file beside the `.tn` file where there is one (`mpo.tnlock` beside
    `mpo.tn`, which `tncompile tune` and `tncompile compile --lock` keep); see `locked` and
    `unlocked`.
    """

    def __init__(
        self,
        resolved: ResolvedNetwork,
        linked: LinkedProgram,
        text: str | None = None,
        file: Path | None = None,
    ) -> None:
        self._resolved = resolved
        self._linked = linked
        self._text = text
        self._plans: dict[Options, ContractionPlan] = {}
        self._tuned: dict[tuple[object, ...], ContractionPlan] = {}
        self._sources: dict[tuple[object, ...], GeneratedModule] = {}
        self._file = file  # whose lock is used where it is there, …
        self._lock: Path | None = None  # … unless this one was asked for, …
        self._unlocked = False  # … or none
        self._keeps_lock = False
        self.progress: Progress | None = None
        self.notes: tuple[str, ...] = ()
        """What was noticed about the lock file: why a stored plan was not used."""
        self.unheeded: tuple[str, ...] = ()
        """Options that changed nothing, since the lock file has a measured plan: `search`, …"""

    def __repr__(self) -> str:
        lock = self.lock
        return f"Architecture({self._resolved.target}{f', lock={str(lock)!r}' if lock else ''})"

    @property
    def arguments(self) -> Mapping[str, int | float | bool | tuple[int, ...]]:
        """The values of all parameters of the block, defaults included."""
        return dict(self._resolved.values)

    @property
    def lock(self) -> Path | None:
        """The lock file that plans are taken from; None where there is none."""
        if self._lock is not None or self._file is None or self._unlocked:
            return self._lock
        beside = lock_path(self._file)
        return beside if beside.exists() else None

    @property
    def keeps_lock(self) -> bool:
        """Whether plans that are searched are stored in the lock file."""
        return self._keeps_lock

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What is odd about the network without being wrong."""
        return self._resolved.warnings

    @cached_property
    def network(self) -> TensorNetwork:
        """The validated network: indices, tensors, inputs, output."""
        from tncompile.compiler import build_network

        return build_network(self._resolved)

    def text(self) -> str:
        """The `.tn` source that the architecture comes from."""
        return self._linked.source.text if self._text is None else self._text

    def locked(
        self, path: str | os.PathLike[str] | None = None, *, keep: bool = True
    ) -> Architecture:
        """The same architecture, its plans taken from a lock file and, with `keep`, stored there.

        Without a path it is the one beside the `.tn` file, which is read without this too, but not
        written. A plan that the file lacks, or that is stale, is searched; `notes` then say why.
        Planning raises ValueError where the file is corrupt. Raises ValueError where neither a path
        nor a file of one's own says where the lock is.
        """
        if path is None:
            if self._file is None:
                what = "a text, an equation or a file of the library"
                raise ValueError(f"no lock stands beside {what}: name its path")
            path = lock_path(self._file)
        made = self.unlocked()
        made._lock, made._keeps_lock = Path(path), keep
        return made

    def unlocked(self) -> Architecture:
        """The same architecture, its plans searched whatever a lock file holds."""
        made = Architecture(self._resolved, self._linked, self._text, self._file)
        made._unlocked = True
        return made

    def plan(
        self,
        batch: int | Sequence[int] = DEFAULT_BATCH,
        minimize: Minimize = "time",
        *,
        sizes: Mapping[str, int] | None = None,
        search: Search = "normal",
        memory_limit: int | None = None,
        machine: str = "builtin",
    ) -> ContractionPlan:
        """What runs in training, at inference and folded, for one or several batch sizes.

        `batch` are products of the leading axes, in any order: the middle one in size counts where
        one has to be chosen, and other sizes are planned for around them.
        `minimize` is `"time"` (predicted), `"flops"` or `"memory"`; `sizes` are those of `batch`
        axes by name, in elements; `memory_limit` is in bytes, of a training step; `machine` is the
        profile that predicts: `"builtin"`, `"cuda"`, `"measured"`, `"measured-cuda"` or a file.
        Raises `CompileError` (TN502) where no plan keeps to the limit, and ValueError where there
        is no such profile.
        """
        return self._planned(_options(batch, sizes, minimize, search, memory_limit, machine))

    def tune(
        self,
        batch: int | Sequence[int] = DEFAULT_BATCH,
        *,
        training: bool = False,
        sizes: Mapping[str, int] | None = None,
        search: Search = "normal",
        memory_limit: int | None = None,
        machine: str = "builtin",
        seconds: float = 60.0,
        anyway: bool = False,
    ) -> Tuning:
        """Measure the most promising plans on this machine; plans for time follow it from then on.

        Forward passes are measured, folded ones too, with `training` training steps as well, for
        about `seconds` in all, on the device of the profile `machine`. An architecture that is
        `locked()` keeps the result in the file. Where something else ran on the machine the result
        says that it was `busy`, and is neither followed nor kept unless that is wanted `anyway`.
        Raises ValueError where there is no such device.
        """
        from tncompile.compiler import keep_tuned, tune_network

        options = _options(batch, sizes, "time", search, memory_limit, machine)
        with self._naming_limits():
            tuning = tune_network(
                self.network, options, training=training, seconds=seconds, progress=self.progress
            )
        if tuning.busy and not anyway:
            return tuning
        if self._lock is not None and self._keeps_lock:
            keep_tuned(self.network, options, tuning.plan, self._lock)
        self._tuned[_measured_for(options)] = tuning.plan
        return tuning

    def cost(
        self,
        batch: int = DEFAULT_BATCH,
        *,
        sizes: Mapping[str, int] | None = None,
        minimize: Minimize = "time",
        search: Search = "normal",
        memory_limit: int | None = None,
        machine: str = "builtin",
        training: bool = False,
    ) -> Cost:
        """What the module costs at this batch, and what the alternatives do.

        It has the figures of every mode; steps and alternatives are shown of a forward pass, with
        `training` of a training step.
        """
        from tncompile.machine.registry import find_profile
        from tncompile.planning import cost

        planned = self.plan(
            batch,
            minimize,
            sizes=sizes,
            search=search,
            memory_limit=memory_limit,
            machine=machine,
        )
        return cost(
            self.network,
            planned,
            batch=batch,
            sizes=sizes or {},
            profile=find_profile(machine),
            mode="training" if training else "inference",
        )

    def source(
        self,
        *,
        batch: int | Sequence[int] = DEFAULT_BATCH,
        sizes: Mapping[str, int] | None = None,
        minimize: Minimize = "time",
        search: Search = "normal",
        memory_limit: int | None = None,
        machine: str = "builtin",
        plan: ContractionPlan | None = None,
        shard: str | None = None,
    ) -> str:
        """The PyTorch file that `module()` runs, on a CUDA device that with `machine="cuda"`.

        With `shard`, a leg, it also has a `ParallelStyle` that splits the module over processes.
        Raises `CompileError` (TN503) where they cannot share that leg.
        """
        self._require_leg(shard)
        planned = self._checked(plan) or self.plan(
            batch,
            minimize,
            sizes=sizes,
            search=search,
            memory_limit=memory_limit,
            machine=machine,
        )
        return self._generated(planned, shard).source

    def module(
        self,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        seed: int | None = None,
        batch: int | Sequence[int] = DEFAULT_BATCH,
        sizes: Mapping[str, int] | None = None,
        minimize: Minimize = "time",
        search: Search = "normal",
        memory_limit: int | None = None,
        machine: str | None = None,
        batch_invariant: bool = False,
        plan: ContractionPlan | None = None,
        shard: str | None = None,
    ) -> TensorNetworkModule:
        """An `nn.Module` with the declared parameters, ready to train.

        `seed` makes the start reproducible and leaves torch's own generator alone. `batch` is what
        it is planned for; it takes any batch. `batch_invariant` does the same operations in the
        same order at every batch size. With `shard`, a leg, `module.parallel_style(…)` splits it
        over processes. Unless another `machine` is asked for, `"cuda"` predicts for a CUDA `device`
        and `"builtin"` for others.
        Raises ValueError for a `plan` of another network or a device that is not there,
        `CompileError` (TN503) where that leg cannot be split.
        """
        from tncompile.emission.loading import instantiate, placed
        from tncompile.machine.host import require_device
        from tncompile.machine.registry import builtin_for

        self._require_leg(shard)
        where = placed(device).type
        require_device(where)
        if machine is None:
            machine = builtin_for(where)
        planned = self._checked(plan) or self.plan(
            batch,
            minimize,
            sizes=sizes,
            search=search,
            memory_limit=memory_limit,
            machine=machine,
        )
        generated = self._generated(planned, shard)
        return instantiate(
            generated, dtype=dtype, device=device, seed=seed, batch_invariant=batch_invariant
        )

    def describe(
        self,
        stage: Stage,
        *,
        batch: int | Sequence[int] | None = None,
        search: Search = "normal",
        memory_limit: int | None = None,
        machine: str = "builtin",
        shard: str | None = None,
    ) -> str:
        """The text of a stage: one of `program`, `network`, `plan`, `tensor-program`, `torch`."""
        from tncompile.compiler import lower_network
        from tncompile.program.printer import describe_branches

        def planned() -> ContractionPlan:
            held = DEFAULT_BATCH if batch is None else batch
            return self.plan(held, search=search, memory_limit=memory_limit, machine=machine)

        one_of("the stage", stage, STAGES)
        match stage:
            case "program":
                return self._linked.program.describe()
            case "network":
                return self.network.describe()
            case "plan":
                return planned().describe()
            case "tensor-program":
                return describe_branches(lower_network(self.network, planned()))
            case "torch":
                self._require_leg(shard)
                return self._generated(planned(), shard).source
            case _:
                assert_never(stage)

    # ── stages kept ────────────────────────────────────────────────────────────────────────────

    def _planned(self, options: Options) -> ContractionPlan:
        from tncompile.compiler import plan_from_lock, plan_network, unheeded

        tuned = self._tuned.get(_measured_for(options)) if self._tuned else None
        if tuned is not None and options.minimize == "time":
            return tuned.with_batch(options.batch[len(options.batch) // 2])
        if options not in self._plans:
            with self._naming_limits():
                lock = self.lock
                if lock is None:
                    planned = plan_network(self.network, options, self.progress)
                else:
                    planned, notes = plan_from_lock(
                        self.network, options, lock, self._keeps_lock, self.progress
                    )
                    self.notes += notes
                    self.unheeded = unheeded(options, planned)
            self._plans[options] = planned
        return self._plans[options]

    @contextmanager
    def _naming_limits(self) -> Iterator[None]:
        """Turn "no plan keeps to the memory limit" into the diagnostic of it."""
        from tncompile.planning import NoPlanError

        try:
            yield
        except NoPlanError as error:
            raise CompileError((self._no_plan(str(error)),)) from None

    def _checked(self, plan: ContractionPlan | None) -> ContractionPlan | None:
        """A plan handed in, once it is known to be one for this network."""
        from tncompile.planning.plan import verify_plan

        if plan and (wrong := next(verify_plan(self.network, plan), None)):
            raise ValueError(f"the plan is not one of {self._resolved.target}: {wrong}")
        return plan

    def _no_plan(self, message: str) -> Diagnostic:
        span: Span = self._resolved.block.name.span
        return Diagnostic(
            Code.NO_PLAN,
            message,
            Label(span, "no order of contraction fits"),
            notes=("peak memory counts inputs, parameters and every value alive at once",),
            hint="raise the memory limit, or lower the batch size or the ranks",
        )

    def _require_leg(self, leg: str | None) -> None:
        """`CompileError` unless processes can share the leg; nothing where none is named."""
        from tncompile.emission.sharding.split import ShardingError, split_leg

        if leg is None:
            return
        _require_text("shard", leg)
        try:
            split_leg(self.network, leg)
        except ShardingError as error:
            known = self._resolved.index.get(leg)
            span = self._resolved.block.name.span
            label = Label((known and known.declared) or span, error.label)
            found = Diagnostic(Code.CANNOT_SPLIT, str(error), label, hint=error.hint)
            raise CompileError((found,)) from None

    def _generated(self, planned: ContractionPlan, shard: str | None = None) -> GeneratedModule:
        from tncompile.compiler import generate_module, lower_network, single_variant

        if shard is not None:
            planned = single_variant(planned)
        key = (planned.to_json(), shard)
        if key not in self._sources:
            branches = lower_network(self.network, planned)
            self._sources[key] = generate_module(self.network, planned, branches, shard=shard)
        return self._sources[key]


def _options(
    batch: int | Sequence[int],
    sizes: Mapping[str, int] | None,
    minimize: Minimize,
    search: Search,
    memory_limit: int | None,
    machine: str,
) -> Options:
    """What is asked for, checked as far as that goes without the network."""
    from tncompile.compiler import Options
    from tncompile.planning.request import batch_sizes, whole
    from tncompile.planning.selection import MINIMIZED, SEARCHES

    _require_text("machine", machine)
    one_of("minimize", minimize, MINIMIZED)
    one_of("search", search, SEARCHES)
    named = tuple(
        sorted((name, whole(f"the size of `{name}`", n)) for name, n in (sizes or {}).items())
    )
    if memory_limit is not None:
        memory_limit = whole("the memory limit", memory_limit)
        if memory_limit < 1:
            raise ValueError(f"the memory limit is a positive number of bytes, not {memory_limit}")
    return Options(batch_sizes(batch), named, minimize, search, memory_limit, machine)


def _measured_for(options: Options) -> tuple[object, ...]:
    """What has to be equal for a measured plan to be followed."""
    from tncompile.machine.registry import find_profile

    return options.sizes, options.memory_limit, find_profile(options.machine).device


def _require_text(name: str, held: object) -> None:
    """TypeError unless an argument is a `str`."""
    if not isinstance(held, str):
        raise TypeError(f"{name} is a str, not {type(held).__name__}")


def load(path: str | os.PathLike[str], *, root: str | os.PathLike[str] | None = None) -> Spec:
    """The spec of a `.tn` file; `std/linear.tn` is the library's, unless there is such a file.

    Imports are looked up beside the file and stay under its folder, or under `root`. Raises
    `FileNotFoundError`, or `CompileError` with all that is wrong.
    """
    from tncompile.language.linking import link
    from tncompile.language.linking.importing import closest_file, decode, is_own, locate

    file = locate(path)
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        name = os.fspath(path)
        close = closest_file(name)
        meant = f"; did you mean {close}?" if close else ""
        raise FileNotFoundError(error.errno, f"{error.strerror}{meant}", name) from None
    try:
        source = decode(content, os.fspath(path))
        linked = link(source, folder=file.parent, root=Path(root) if root is not None else None)
    except CompileError as error:
        raise error.with_traceback(None) from None
    return Spec(linked, Path(path).absolute() if is_own(path) else None)


def loads(text: str, *, root: str | os.PathLike[str] | None = None, name: str = "<text>") -> Spec:
    """The spec of a text. Without a `root` it imports only `std/`."""
    from tncompile.language.linking import link

    _require_text("text", text)
    held = Path(root) if root is not None else None
    try:
        linked = link(SourceFile(name, text), folder=held, root=held)
    except CompileError as error:
        raise error.with_traceback(None) from None
    return Spec(linked)


def from_einsum(
    equation: str | Shape, *shapes: Shape | Indices, inputs: int = 1, name: str = "Einsum"
) -> Architecture:
    """The network of an einsum equation; its `text()` is the `.tn` source.

    `from_einsum("bi,ir,ro->bo", (None, 8), (8, 2), (2, 4))`, with a shape an operand, or, as einsum
    has it too, shapes each followed by a list of indices, the output's last:
    `from_einsum((None, 8), [0, 1], (8, 2), [1, 2], [0, 2])`. The first `inputs` operands are
    arguments of `forward`, the others the trained tensors `W0`, `W1`, … of just these shapes.

    Equations:
        indices   letters, those of other alphabets too; in lists whole numbers, letters, words
        `ii->i`   diagonals and traces, `i->ii` too: a frozen identity matrix (`eye_i_2`, a buffer),
                  which is multiplied in full
        `,ij->ij` operands without axes
        `...`     any axes, aligned on the right. Where it leads inputs and the output, and nothing
                  else has axes there, it is any number of axes at run time, and shapes may leave
                  them out. Elsewhere shapes say its axes; missing on the output, they are summed.
        no `->`   `...`, then what occurs once, in alphabetical order

    Shapes:
        sizes     a tuple, a list, an array of one axis of integers; each an int, NumPy's included
        None      in an input's shape: a batch axis, sized at run time
        1         broadcasts where the index is longer elsewhere
        a tensor  of torch, NumPy, …: its shape is taken, its values are not; so of a number

    What is summed on one operand alone gets a frozen vector of ones (`sum_i`, a buffer). Raises
    ValueError, with a caret, for what is no equation or does not fit it, TypeError for what is
    neither a shape nor indices, and `CompileError` beyond the limits of the language.
    """
    from tncompile.language.linking import link
    from tncompile.language.resolving import resolve
    from tncompile.network.einsum import from_einsum as write

    text = write(equation, *shapes, inputs=inputs, name=name)
    linked = link(SourceFile("<einsum>", text), folder=None, root=None)
    return Architecture(resolve(linked, name, {}), linked)
