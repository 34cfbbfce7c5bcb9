"""What a user holds of one model: a block with its arguments, to plan, to cost, to compile."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Literal, Unpack, get_args

from tncompile.architecture import Architecture
from tncompile.inspection.drawing.drawing import Drawing
from tncompile.language.diagnostics.spelling import one_of
from tncompile.language.typing.model import ResolvedModel

if TYPE_CHECKING:
    import torch

    from tncompile.emission import GeneratedModule
    from tncompile.inspection.drawing.theme import Theme
    from tncompile.inspection.symbolic.model_cost import SymbolicModel
    from tncompile.models.costs.report import ModelCost
    from tncompile.models.graph.forms import Form
    from tncompile.models.planning import ModelPlan
    from tncompile.network.model import Parameter, TensorNetwork
    from tncompile.network.packing import Packing, Quantization, Weights
    from tncompile.planning import ContractionPlan
    from tncompile.planning.paths.optimizers import Progress
    from tncompile.planning.request import Minimize, PlanOptions, SearchOptions
    from tncompile.tensorizing.fitting.fit import Effort
    from tncompile.tensorizing.fitting.result import Fit
    from tncompile.tensorizing.moments import Metric
    from tncompile.tuning.results import Tuning
    from tncompile.typed import TensorNetworkModule

Stage = Literal["program", "model", "plan", "torch"]
STAGES: tuple[Stage, ...] = get_args(Stage)
"""What `Model.describe` shows, in the order of the pipeline."""


@dataclass(frozen=True, repr=False, eq=False)
class Model(Architecture):
    """One model with all its sizes: its networks, its plan, its module.

    Its networks are planned as they are by themselves, for the rows that reach each of them; plans
    come from the lock file beside the `.tn` file where there is one.

    >>> model
    Model(Classifier)
    """

    _emitted: dict[tuple[Hashable, ...], tuple[ModelPlan, GeneratedModule]] = field(
        default_factory=dict, init=False
    )

    @cached_property
    def networks(self) -> Mapping[str, Architecture]:
        """The networks that it is made of, each once, by how they are called.

        >>> list(model.networks)
        ['MPO(ins = [8, 8], outs = [4, 8], ranks = [8])']
        """
        from tncompile.models.reach import networks_of

        origin = (self._linked, self._file, self._lock, self._unlocked, self.keeps_lock)
        found: dict[str, Architecture] = {}
        for network in networks_of(self._model):
            name, number = network.target, 2
            while name in found:  # blocks of one name in two files
                name, number = f"{network.target} ({number})", number + 1
            found[name] = Architecture(network, *origin)
        return found

    def _drawn(self, theme: Theme, unfolded: bool, width: int, depth: int) -> Drawing:
        """Its parts and operations; each network and model among them has a place of its own."""
        from tncompile.compiler import build_network
        from tncompile.inspection.drawing.models.draw import model_page, model_scene

        scene = model_scene(self._model, build_network, depth, unfolded=unfolded)
        return Drawing(scene, theme, partial(model_page, self._model, build_network))

    @property
    def _size_names(self) -> tuple[str, ...]:
        return ("batch", *self.sizes)

    @property
    def sizes(self) -> Mapping[str, int | None]:
        """The run-time sizes by name, each with its usual value, if it has one.

        >>> model.sizes
        {}
        """
        return {size.name: size.usual for size in self._model.sizes}

    # Models have plans, costs and stages of their own kind: checkers know them behind an
    # `isinstance`, as `instantiate` gives an `Architecture`.

    def plan(  # type: ignore[override]
        self, *, progress: Progress | None = None, **options: Unpack[PlanOptions]
    ) -> ModelPlan:
        """What each network runs, for the rows that reach it.

        `batch` is the product of the axes of `...`, one or several; `sizes` are run-time sizes of
        the model by name, which otherwise have their usual values. Other keywords, and what is
        raised, are those of `Architecture.plan`.

        >>> [plan.batch for plan in model.plan(batch=8, search="fast").plans.values()]
        [8]
        """
        from tncompile.models.planning import plan_model

        def planned(name: str, inner: PlanOptions) -> ContractionPlan:
            return self.networks[name].plan(progress=progress, **inner)

        return plan_model(self._model, self.networks, planned, options)

    def cost(  # type: ignore[override]
        self,
        batch: int | None = None,
        *,
        training: bool = False,
        minimize: Minimize = "time",
        progress: Progress | None = None,
        **options: Unpack[SearchOptions],
    ) -> ModelCost:
        """What the model costs at this batch, the product of `...`, and these run-time sizes.

        A tree of its parts with parameters, FLOPs, predicted time and memory of a forward pass and
        of a training step; with `training`, shares are of the latter. `sizes` that are not given
        have their usual values; ValueError names those that have none, and what `plan` raises is
        raised. `at` of the result is the cost of the same plans at other sizes.

        >>> figures = model.cost(batch=8, search="fast")
        >>> [part.name for part in figures.parts], figures.parameters
        (['hidden', 'head'], 1130)
        """
        from tncompile.machine.registry import find_profile
        from tncompile.models.costs.costing import Costing
        from tncompile.models.costs.networks import PlannedNetwork
        from tncompile.models.sizes import cost_sizes
        from tncompile.planning.request import DEFAULT_BATCH

        sizes = cost_sizes(self._model, options.get("sizes") or {})
        options["sizes"] = sizes
        rows = DEFAULT_BATCH if batch is None else batch
        plan = self.plan(batch=rows, minimize=minimize, progress=progress, **options)
        networks = {
            id(architecture._resolved): PlannedNetwork(architecture.network, plan.plans[name])
            for name, architecture in self.networks.items()
        }
        profile = find_profile(options.get("machine") or "builtin")
        return Costing(self._model, profile, networks, plan.orders).cost(rows, sizes, training)

    def symbolic(  # type: ignore[override]
        self,
        batch: int | None = None,
        *,
        training: bool = False,
        minimize: Minimize = "time",
        progress: Progress | None = None,
        **options: Unpack[SearchOptions],
    ) -> SymbolicModel:
        """Its parameters as a polynomial in those of its block, and its networks in their own.

        Of the multiply-adds of the whole there is no polynomial, for layers and functions of values
        are not followed. Keywords, and what is raised, are those of `cost`.

        >>> figures = model.symbolic(batch=8, search="fast")
        >>> figures.parameters.value, list(figures.networks) == list(model.networks)
        (1130, True)
        """
        from tncompile.inspection.symbolic.model_cost import symbolic_model

        return symbolic_model(self, batch, minimize, training, progress, options)

    def tune(  # type: ignore[override]
        self,
        *,
        training: bool = False,
        seconds: float = 60.0,
        anyway: bool = False,
        progress: Progress | None = None,
        batch: int | Sequence[int] | None = None,
        **options: Unpack[SearchOptions],
    ) -> Mapping[str, Tuning]:
        """Measure the plans of every network for the rows that reach it; see `Architecture.tune`.

        `seconds` are shared by all of them.

        >>> tunings = model.tune(batch=8, seconds=0.2, search="fast", anyway=True)
        >>> [trial.mode for tuning in tunings.values() for trial in tuning.trials]
        ['inference', 'folded']
        """
        from tncompile.models.planning import requests

        wanted: PlanOptions = {"sizes": options.get("sizes")}
        if batch is not None:
            wanted["batch"] = batch
        asked = requests(self._model, self.networks, wanted)
        share = seconds / max(1, len(asked))
        self._emitted.clear()
        found: dict[str, Tuning] = {}
        for name, inner in asked.items():
            options["sizes"] = inner["sizes"]
            found[name] = self.networks[name].tune(
                inner["batch"],
                training=training,
                seconds=share,
                anyway=anyway,
                progress=progress,
                **options,
            )
        return found

    def source(  # type: ignore[override]
        self,
        *,
        plan: ModelPlan | None = None,
        weights: Weights | None = None,
        group: int | None = None,
        progress: Progress | None = None,
        **options: Unpack[PlanOptions],
    ) -> str:
        """The PyTorch file that `module()` runs; raises what `plan` does.

        With `weights` the networks of the model are as `Architecture.module` says; its layers and
        tensors of its own stay as they are. Raises ValueError where such a tensor is tied.

        >>> model.source(search="fast").splitlines()[0]
        '# Made by tncompile from Classifier.'
        """
        from tncompile.network.packing import quantization

        return self._emit(plan, quantization(weights, group), progress, options).source

    def module(  # type: ignore[override]
        self,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        seed: int | None = None,
        batch_invariant: bool = False,
        plan: ModelPlan | None = None,
        weights: Weights | None = None,
        group: int | None = None,
        progress: Progress | None = None,
        **options: Unpack[PlanOptions],
    ) -> TensorNetworkModule:
        """An `nn.Module` whose parts are submodules, ready to train; see `Architecture.module`.

        The keys of its state dict are the names of the file, so that the state dict of a module
        written by hand with the same names loads.

        >>> sorted({key.partition(".")[0] for key in model.module(search="fast").state_dict()})
        ['head', 'hidden']
        """
        from tncompile.emission.loading import instantiate, placed
        from tncompile.machine.host import require_device
        from tncompile.machine.registry import builtin_for
        from tncompile.network.packing import quantization

        where = placed(device).type
        require_device(where)
        if options.get("machine") is None:
            options["machine"] = builtin_for(where)
        generated = self._emit(plan, quantization(weights, group), progress, options)
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
        """The tensors of a model of low rank that is near to a weight (out, in).

        That is `Interpolative` of `std/linear.tn` and what is written as it: the fit of `LowRank`
        of the same rank, in any metric, brought into its form without a loss. Entries of `rest` are
        at most 1.1. Of `MixedEmbedding` of `std/embedding.tn`, a table (words, features), rows are
        sorted by how often they come, `inputs` of the metric, times their squares. Raises
        ValueError for other models, and what `Architecture.fit` raises.

        >>> import torch
        >>> low = tncompile.load("std/linear.tn").instantiate("Interpolative(8, 8, rank = 4)")
        >>> found = low.fit(torch.ones(8, 8))
        >>> found.error < 1e-12, found.state_dict["order"].dtype
        (True, torch.int64)
        """
        from tncompile.models.graph.mixed import Mixed
        from tncompile.tensorizing.fitting.interpolating import fit_interpolated
        from tncompile.tensorizing.fitting.mixing import fit_mixed

        form = self._form
        if isinstance(form, Mixed):
            return fit_mixed(
                self._map, form, weight,
                metric=metric, inputs=inputs, tolerance=tolerance, seed=seed, effort=effort,
                progress=progress,
            )  # fmt: skip
        keys = {"columns": form.columns.path, "order": form.order.path}
        keys |= {} if form.rest is None else {"rest": form.rest.path}
        return fit_interpolated(
            self._map, weight, keys, [each.path for each in self._model.tensors],
            metric=metric, inputs=inputs, tolerance=tolerance, seed=seed, effort=effort,
            progress=progress,
        )  # fmt: skip

    def describe(  # type: ignore[override]
        self, stage: Stage, *, progress: Progress | None = None, **options: Unpack[PlanOptions]
    ) -> str:
        """The text of a stage: one of `program`, `model`, `plan`, `torch`.

        Raises ValueError for another stage, and what `source` raises.

        >>> print(model.describe("model").splitlines()[0])
        model Classifier
        """
        from tncompile.language.formatting import format_program
        from tncompile.models.printer import describe_model

        one_of("the stage", stage, STAGES)
        match stage:
            case "program":
                return format_program(self._linked.program)
            case "model":
                return describe_model(self._model)
            case "plan":
                return self.plan(progress=progress, **options).describe()
            case "torch":
                return self.source(progress=progress, **options)

    @property
    def _form(self) -> Form:
        """The tensors of a model of low rank. Raises ValueError for other models."""
        from tncompile.models.graph.forms import form_of

        form = form_of(self._model)
        if form is None:
            raise ValueError(
                f"{self._model.target} is a model, and none of low rank: no one weight"
            )
        return form

    @cached_property
    def _map(self) -> TensorNetwork:
        """The network of low rank whose maps have this one among them.

        Raises ValueError for other models.
        """
        return self._form.network(self._model)

    @property
    def _stored(self) -> tuple[Parameter, ...]:
        """The tensors of the model itself."""
        from tncompile.models.emission.access import Access

        return Access(self._model).tensors.parameters

    def _packed(self, quantized: Quantization | None) -> dict[str, Packing]:
        """How those of them are stored that are to be quantized, by key."""
        from tncompile.models.emission.access import Access

        return dict(Access(self._model, quantized=quantized).tensors.packed)

    @property
    def _model(self) -> ResolvedModel:
        """The resolved model."""
        assert isinstance(self._resolved, ResolvedModel)
        return self._resolved

    def _emit(
        self,
        plan: ModelPlan | None,
        quantized: Quantization | None,
        progress: Progress | None,
        options: PlanOptions,
    ) -> GeneratedModule:
        """Everything that a plan becomes; it is searched unless it is handed in."""
        from tncompile.compiler import compile_model

        planned = plan or self.plan(progress=progress, **options)
        orders = ((name, *found.items()) for name, found in planned.orders.items())
        key: tuple[Hashable, ...] = (*map(id, planned.plans.values()), *orders, quantized)
        if key not in self._emitted:
            networks = {
                id(architecture._resolved): (architecture.network, planned.plans[name])
                for name, architecture in self.networks.items()
            }
            self._emitted[key] = (
                planned,
                compile_model(self._model, networks, planned.orders, quantized),
            )
        return self._emitted[key][1]
