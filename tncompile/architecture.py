"""What a user holds of one network: a block with its arguments, to plan, to cost, to compile."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Unpack, get_args

from tncompile.inspection.inspected import Inspected
from tncompile.instantiated import Instantiated
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.diagnostics.spelling import one_of
from tncompile.language.resolved import ResolvedNetwork
from tncompile.refusals import no_plan, no_split, require_plan_of

if TYPE_CHECKING:
    import torch

    from tncompile.emission import GeneratedModule
    from tncompile.network.model import Parameter, TensorNetwork
    from tncompile.network.packing import Packing, Quantization, Weights
    from tncompile.planning import ContractionPlan, Cost
    from tncompile.planning.paths.optimizers import Progress
    from tncompile.planning.request import Minimize, PlanOptions, PlanRequest, Search, SearchOptions
    from tncompile.simulation.modes import Mode
    from tncompile.tensorizing.fitting.fit import Effort
    from tncompile.tensorizing.fitting.result import Fit
    from tncompile.tensorizing.moments import Metric
    from tncompile.tuning.results import Tuning
    from tncompile.typed import TensorNetworkModule

Stage = Literal["program", "network", "plan", "tensor-program", "torch"]
STAGES: tuple[Stage, ...] = get_args(Stage)
"""What `Architecture.describe` shows, in the order of the pipeline."""


@dataclass(frozen=True, repr=False, eq=False)
class Architecture(Instantiated, Inspected):
    """One network with all its sizes: its source, its cost, its module.

    Plans come from the lock file beside the `.tn` file where there is one, which `tncompile tune`
    and `tncompile compile --lock` keep; see `locked` and `unlocked`. Methods that plan take the
    keywords of `plan`, and `progress`, which is called with what is done and what there is to do.

    >>> arch
    Architecture(MPO(ins = [4, 8], outs = [8, 4], ranks = [4]))
    """

    _channels_last: bool = False

    # What was planned, compiled and measured is remembered; a copy with another lock starts anew.
    _plans: dict[PlanRequest, ContractionPlan] = field(default_factory=dict, init=False)
    _compiled: dict[tuple[Hashable, ...], tuple[ContractionPlan, GeneratedModule]] = field(
        default_factory=dict, init=False
    )
    _measured: dict[str, ContractionPlan] = field(default_factory=dict, init=False)

    @cached_property
    def network(self) -> TensorNetwork:
        """The validated network: indices, tensors, inputs, output; `graph()` is networkx's.

        Raises ValueError for a model, which has `networks`.

        >>> [tensor.name for tensor in arch.network.tensors]
        ['x', 'G[0]', 'G[1]']
        """
        from tncompile.compiler import build_network
        from tncompile.network.editing import edited

        return edited(build_network(self._block), channels_last=self._channels_last)

    def channels_last(self) -> Architecture:
        """The same architecture for images that come and go channels-last, as torch calls it.

        That is for models in `torch.channels_last`; of other images the module makes copies, and
        what it returns lies channels-last in any case. Raises ValueError unless an input and the
        output are images: an axis of channels, then those of windows.

        >>> tncompile.load("std/convolution.tn").instantiate(
        ...     "CPConv(8, 8, rank = 2)"
        ... ).channels_last().network.channels_last
        True
        """
        if not self.network.maps_images:
            raise ValueError(f"{self.network.target} maps no images (…, channels, lengths)")
        return replace(self, _channels_last=True)

    def plan(
        self,
        batch: int | Sequence[int] | None = None,
        minimize: Minimize = "time",
        *,
        sizes: Mapping[str, int] | None = None,
        search: Search = "normal",
        memory_limit: int | None = None,
        machine: str = "builtin",
        progress: Progress | None = None,
    ) -> ContractionPlan:
        """What runs in training, at inference and folded, for one or several batch sizes.

        `batch` are products of the leading axes, in any order: the middle one in size counts where
        one has to be chosen, and other sizes are planned for around them. Without it the size is
        the usual one of the leading axis (`batch t = 128`), else 64.
        `minimize` is `"time"` (predicted), `"flops"` or `"memory"`; `sizes` are those of `batch`
        axes by name, in elements, and by the names of windows (`h`, or `h.0` in a family) those of
        the input along them; `search` is `"fast"`, `"normal"` or `"thorough"`; `memory_limit`
        is in bytes, of a training step; `machine` is the profile that predicts: `"builtin"`,
        `"cuda"`, `"measured"`, `"measured-cuda"` or a file.
        Raises `CompileError` (TN502) where no plan keeps to the limit, and ValueError where there
        is no such profile. What was noticed about a lock file is in the plan's `notes`.

        >>> plan = arch.plan(batch=[1, 64], search="fast")
        >>> sorted({variant.mode for variant in plan.variants})
        ['folded', 'inference', 'training']
        """
        from tncompile.planning.request import plan_request

        request = plan_request(
            self.network, batch=batch, minimize=minimize, sizes=sizes, search=search,
            memory_limit=memory_limit, machine=machine,
        )  # fmt: skip
        return self._planned(request, progress)

    def tune(
        self,
        batch: int | Sequence[int] | None = None,
        *,
        training: bool = False,
        seconds: float = 60.0,
        anyway: bool = False,
        progress: Progress | None = None,
        **options: Unpack[SearchOptions],
    ) -> Tuning:
        """Measure the most promising plans on this machine; plans for time follow it from then on.

        Forward passes are measured, folded ones too, with `training` training steps as well, for
        about `seconds` in all, on the device of the profile `machine`. An architecture that is
        `locked()` keeps the result in the file. Where something else ran on the machine the result
        says that it was `busy`, and is neither followed nor kept unless that is wanted `anyway`.
        Raises ValueError where there is no such device, and what `plan` raises.

        >>> tuning = arch.tune(batch=8, seconds=0.2, search="fast", anyway=True)
        >>> [trial.mode for trial in tuning.trials]
        ['inference', 'folded']
        """
        from tncompile.compiler import tune_network
        from tncompile.planning.lock import keep_plan, lock_key
        from tncompile.planning.request import plan_request

        request = plan_request(self.network, batch=batch, **options)
        with self._limits_named():
            tuning = tune_network(self.network, request, training, seconds, progress)
        if anyway or not tuning.busy:
            if self._lock is not None and self.keeps_lock:
                keep_plan(self._lock, self.network, request, tuning.plan)
            self._measured[lock_key(self.network, request, tuned=True).line] = tuning.plan
            self._plans.clear()
        return tuning

    def cost(
        self,
        batch: int | None = None,
        *,
        minimize: Minimize = "time",
        training: bool = False,
        progress: Progress | None = None,
        **options: Unpack[SearchOptions],
    ) -> Cost:
        """What the module costs at this batch, or at the usual one, and what the alternatives do.

        It has the figures of every mode, in seconds and bytes; steps and alternatives are shown of
        a forward pass, with `training` of a training step. Raises what `plan` raises.

        >>> arch.cost(batch=64, search="fast").dense_layer
        'nn.Linear'
        """
        from tncompile.planning import cost
        from tncompile.planning.request import plan_request

        request = plan_request(self.network, batch=batch, minimize=minimize, **options)
        plan = self._planned(request, progress)
        mode: Mode = "training" if training else "inference"
        sizes, profile, batch = dict(request.named), request.profile, request.asked[0]
        return cost(self.network, plan, batch=batch, sizes=sizes, profile=profile, mode=mode)

    def source(
        self,
        *,
        plan: ContractionPlan | None = None,
        shard: str | None = None,
        weights: Weights | None = None,
        group: int | None = None,
        progress: Progress | None = None,
        **options: Unpack[PlanOptions],
    ) -> str:
        """The PyTorch file that `module()` runs, on a CUDA device that with `machine="cuda"`.

        With `shard`, a leg, it also has a `ParallelStyle` that splits the module over processes.
        With `weights`, `"int8"` or `"int4"`, large tensors are integers and scales, one for each
        `group` of neighbors; see `module`.
        Raises `CompileError` (TN503) where they cannot share that leg, ValueError for a `plan` of
        another network, and what `plan` raises.

        >>> arch.source(search="fast").splitlines()[0]
        '# Made by tncompile from MPO(ins = [4, 8], outs = [8, 4], ranks = [4]).'
        """
        from tncompile.network.packing import quantization

        return self._compile(plan, shard, quantization(weights, group), progress, options).source

    def module(
        self,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        seed: int | None = None,
        batch_invariant: bool = False,
        plan: ContractionPlan | None = None,
        shard: str | None = None,
        weights: Weights | None = None,
        group: int | None = None,
        progress: Progress | None = None,
        **options: Unpack[PlanOptions],
    ) -> TensorNetworkModule:
        """An `nn.Module` with the declared parameters, ready to train.

        `seed` makes the start reproducible and leaves torch's own generator alone. `batch` is what
        it is planned for; it takes any batch. `batch_invariant` does the same operations in the
        same order at every batch size. With `shard`, a leg, `module.parallel_style(…)` splits it
        over processes. Unless another `machine` is asked for, `"cuda"` predicts for a CUDA `device`
        and `"builtin"` for others. With `weights`, `"int8"` or `"int4"`, tensors of 256 entries and
        more are integers times scales: buffers `A_int8` and `A_scale` in place of `A`, dequantized
        in `forward`. Eight bits have a scale for each slice along one axis, four bits for each 64
        neighbors; `group` is another number of them. `tncompile.quantized_state` fills them.
        Raises ValueError for a `plan` of another network, a device that is not there, or other
        `weights`, `CompileError` (TN503) where that leg cannot be split, and what `plan` raises.

        >>> layer = arch.module(seed=0, search="fast")
        >>> layer.in_features, layer.fold().out_features
        (32, 32)
        """
        from tncompile.emission.loading import instantiate, placed
        from tncompile.machine.host import require_device
        from tncompile.machine.registry import builtin_for
        from tncompile.network.packing import quantization

        where = placed(device).type
        require_device(where)
        if options.get("machine") is None:
            options["machine"] = builtin_for(where)
        wanted = quantization(weights, group)
        generated = self._compile(plan, shard, wanted, progress, options)
        return instantiate(
            generated, dtype=dtype, device=device, seed=seed, batch_invariant=batch_invariant
        )

    def fit(
        self,
        weight: torch.Tensor,
        *,
        metric: Metric | None = None,
        inputs: torch.Tensor | None = None,
        tolerance: float | None = None,
        seed: int = 0,
        effort: Effort = "full",
        progress: Progress | None = None,
    ) -> Fit:
        """The parameters for which the network is nearest to a dense weight.

        `weight` is (out, in), as of nn.Linear, (out, in1, in2) of nn.Bilinear, (out, in, kernel …)
        of a convolution, (ids, features) of an embedding; or it has an axis for each axis, or each
        leg, of the output and the input. Near is the Frobenius norm, or a `metric`; `inputs`
        (samples, in) are short for that of their second moment. It ends at a relative error of
        `tolerance`. Everything is computed in float64 on the device of the weight. Biases are no
        part of it. The `effort` `"quick"` is for comparing networks: one start and few steps.
        Raises ValueError for a weight of another shape or with entries that are not finite, and for
        networks that are no such map; TypeError for what is no tensor of numbers.

        >>> import torch
        >>> found = arch.fit(torch.eye(32))
        >>> arch.module(search="fast").load_state_dict(found.state_dict)
        <All keys matched successfully>
        """
        from tncompile.tensorizing.fitting.fit import fit_network

        network = self.network
        frozen: dict[str, torch.Tensor] = {}
        if any(parameter.frozen for parameter in network.parameters):
            frozen = self.module(seed=seed, search="fast").state_dict()
        return fit_network(
            network, weight, frozen, metric=metric, inputs=inputs, tolerance=tolerance, seed=seed,
            effort=effort, progress=progress,
        )  # fmt: skip

    def describe(
        self,
        stage: Stage,
        *,
        shard: str | None = None,
        progress: Progress | None = None,
        **options: Unpack[PlanOptions],
    ) -> str:
        """The text of a stage: one of `program`, `network`, `plan`, `tensor-program`, `torch`.

        Raises ValueError for another stage, and what `source` raises.

        >>> print(arch.describe("network").splitlines()[0])
        network MPO(ins = [4, 8], outs = [8, 4], ranks = [4])
        """
        from tncompile.compiler import lower_network
        from tncompile.language.formatting import format_program
        from tncompile.network.printer import describe_network
        from tncompile.program.printer import describe_branches

        one_of("the stage", stage, STAGES)
        match stage:
            case "program":
                return format_program(self._linked.program)
            case "network":
                return describe_network(self.network)
            case "plan":
                return self.plan(progress=progress, **options).describe()
            case "tensor-program":
                plan = self.plan(progress=progress, **options)
                return describe_branches(lower_network(self.network, plan))
            case "torch":
                return self.source(shard=shard, progress=progress, **options)

    @property
    def _map(self) -> TensorNetwork:
        """The network that is the map between inputs and output: its own."""
        return self.network

    @property
    def _stored(self) -> tuple[Parameter, ...]:
        """The tensors that a module stores, integers among them."""
        return self.network.parameters

    def _packed(self, quantized: Quantization | None) -> dict[str, Packing]:
        """How those of them are stored that are to be quantized, by key."""
        from tncompile.network.packing import packings

        return packings(self.network, quantized)

    @property
    def _block(self) -> ResolvedNetwork:
        """The resolved network."""
        if not isinstance(self._resolved, ResolvedNetwork):
            raise ValueError(f"{self._resolved.target} is a model: it has several `networks`")
        return self._resolved

    def _planned(self, request: PlanRequest, progress: Progress | None) -> ContractionPlan:
        """The plan of a request: measured here, from the lock file, or searched."""
        from tncompile.compiler import plan_from_lock
        from tncompile.planning.lock import lock_key

        plans, given = self._plans, (self.lock, self.keeps_lock, progress)
        if request not in plans:
            tuned = self._measured.get(lock_key(self.network, request, tuned=True).line)
            with self._limits_named():
                if tuned is not None:
                    plans[request] = tuned.with_batch(request.asked[len(request.asked) // 2])
                else:
                    plans[request] = plan_from_lock(self.network, request, *given)
        return plans[request]

    def _compile(
        self,
        plan: ContractionPlan | None,
        shard: str | None,
        quantized: Quantization | None,
        progress: Progress | None,
        options: PlanOptions,
    ) -> GeneratedModule:
        """Everything that a plan becomes; it is searched unless it is handed in."""
        from tncompile.compiler import compile

        if shard is not None and quantized is not None:
            raise ValueError("a module whose weights are quantized is not sharded: leave out one")
        if shard is not None and (wrong := no_split(self.network, self._block, shard)):
            raise CompileError((wrong,))
        if plan is not None:
            require_plan_of(self.network, plan)
        planned = plan or self.plan(progress=progress, **options)
        if (key := (id(planned), shard, quantized)) not in self._compiled:
            made = compile(self.network, planned, shard=shard, quantized=quantized)
            self._compiled[key] = planned, made
        return self._compiled[key][1]

    @contextmanager
    def _limits_named(self) -> Iterator[None]:
        """Turn "no plan keeps to the memory limit" and "no order" into the diagnostics of them."""
        from tncompile.planning import NoOrderError, NoPlanError

        try:
            yield
        except (NoOrderError, NoPlanError) as error:
            raise CompileError((no_plan(self._block, error),)) from None
