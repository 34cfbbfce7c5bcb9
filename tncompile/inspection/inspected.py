"""What architectures can be asked to show of themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from tncompile.inspection.drawing.drawing import MOST_DEEP, THEMES, Drawing, require_page
from tncompile.inspection.drawing.theme import Theme
from tncompile.language.diagnostics.spelling import one_of

if TYPE_CHECKING:
    import torch
    from torch import nn

    from tncompile.architecture import Architecture
    from tncompile.inspection.bonds.bonds import Bonds
    from tncompile.inspection.bonds.truncating import Truncated
    from tncompile.inspection.comparing.difference import Difference
    from tncompile.inspection.report.report import Report
    from tncompile.inspection.symbolic.cost import SymbolicCost
    from tncompile.inspection.varying.variation import Value, Variation
    from tncompile.network.model import TensorNetwork
    from tncompile.planning.paths.optimizers import Progress
    from tncompile.planning.plan import ContractionPlan
    from tncompile.planning.report.candidates import CandidatePlan
    from tncompile.planning.report.cost import Cost
    from tncompile.planning.request import Minimize, SearchOptions
    from tncompile.simulation.modes import Mode


class Inspected:
    """What can be looked at: drawn, its cost in letters, and its bonds."""

    if TYPE_CHECKING:

        @property
        def network(self) -> TensorNetwork: ...

    def _drawn(self, theme: Theme, unfolded: bool, width: int, depth: int) -> Drawing:
        """Its network; a model has parts instead."""
        from tncompile.inspection.drawing.networks.draw import network_scene

        return Drawing(network_scene(self.network, unfolded=unfolded, width=width), theme)

    @property
    def _size_names(self) -> tuple[str, ...]:
        """What can vary from run to run: `batch`, the product of the leading axes, and others."""
        from tncompile.network.model import DOTS

        named = tuple(name for name in self.network.size_names if name != DOTS)
        return ("batch", *named) if self.network.leading else named

    def draw(
        self,
        *,
        theme: Theme = "auto",
        unfolded: bool = False,
        width: int = 600,
        depth: int = 0,
    ) -> Drawing:
        """A drawing: tensors are boxes, indices are lines, as wide as they are large.

        Inputs are below, in amber, the output is above, in green, a cell an axis. Long chains,
        large trees and grids are folded, `unfolded` shows all of them; the type can be read on a
        page that is `width` px wide. `theme` is `"light"`, `"dark"` or `"auto"`, what the reader
        prefers. The blocks of a model are its parts and operations, with shapes between them; equal
        ones in a chain are one. `depth` says how often parts are unfolded to what they are made of,
        up to 4. Raises ValueError for another theme, depth, and widths below 240 or above 10,000.

        >>> arch.draw(theme="light").svg.count('class="tensor"')
        4
        """
        require_page(theme, width)
        if isinstance(depth, bool) or not isinstance(depth, int):
            raise TypeError(f"depth is a number, not {depth!r}")
        if not 0 <= depth <= MOST_DEEP:
            raise ValueError(f"depth is from 0 to {MOST_DEEP}, not {depth:,}")
        return self._drawn(theme, unfolded, width, depth)

    def _repr_svg_(self) -> str:
        return self.draw()._repr_svg_()

    def draw_contraction(
        self,
        batch: int | None = None,
        *,
        training: bool = False,
        theme: Theme = "auto",
        progress: Progress | None = None,
        **options: Unpack[SearchOptions],
    ) -> Drawing:
        """A drawing of the contraction as a tree: a rung a step, the first one below.

        Leaves are the tensors, in the order of the drawing of the network; lines are as wide as
        intermediates are large. In line with each rung are its share of the predicted time of a
        forward pass, with `training` of a training step, its multiply-adds and the bytes of its
        result. Of more than 40 steps neighbors with small shares are one. Raises what `plan` does,
        and ValueError for models.

        >>> arch.draw_contraction(batch=64, search="fast")
        Drawing(Contraction of MPO(ins = [4, 8], outs = [8, 4], ranks = [4]))
        """
        from tncompile.inspection.drawing.contractions.draw import contraction_scene
        from tncompile.inspection.drawing.networks.draw import network_scene

        one_of("the theme", theme, THEMES)
        network = self.network
        cost: Cost = self.cost(  # type: ignore[attr-defined]  # of every architecture
            batch, training=training, progress=progress, **options
        )
        scene = contraction_scene(network, cost.chosen[cost.mode], network_scene(network))
        return Drawing(scene, theme)

    def candidates(
        self,
        batch: int | None = None,
        *,
        training: bool = False,
        minimize: Minimize = "time",
        progress: Progress | None = None,
        **options: Unpack[SearchOptions],
    ) -> tuple[CandidatePlan, ...]:
        """The plans that a search compares at a batch size, the fastest first.

        Each has its FLOPs, predicted seconds and peak of memory, and says whether it is what the
        module runs, and whether another one beats it in all three. Raises what `plan` raises.

        >>> [each.chosen for each in arch.candidates(batch=64, search="fast")][:2]
        [True, False]
        """
        from tncompile.planning.report.candidates import compared_plans
        from tncompile.planning.request import plan_request

        request = plan_request(self.network, batch=batch, minimize=minimize, **options)
        plan: ContractionPlan = self.plan(  # type: ignore[attr-defined]  # of every architecture
            batch=batch, minimize=minimize, progress=progress, **options
        )
        mode: Mode = "training" if training else "inference"
        return compared_plans(self.network, plan, request, mode, progress)

    def report(
        self,
        batch: int | None = None,
        *,
        training: bool = False,
        weights: nn.Module | Mapping[str, torch.Tensor] | None = None,
        theme: Theme = "auto",
        progress: Progress | None = None,
        **options: Unpack[SearchOptions],
    ) -> Report:
        """A page of HTML about it: drawing, contraction, costs, source, bonds.

        It is one file that loads nothing, for readers of any screen, with the keyboard, too. Of a
        model it has the parts by what they take, and what each network in it is. `weights` are a
        module or its state dict, whose bonds are shown beside those of a fresh start; without them
        the page says that its numbers are those of noise. Raises ValueError for weights that do not
        fit, and what `cost` raises.

        >>> arch.report(batch=8, search="fast").html.splitlines()[0]
        '<!doctype html>'
        """
        one_of("the theme", theme, THEMES)
        values = None if weights is None else _weights(weights)
        figures = self.cost(  # type: ignore[attr-defined]  # of every architecture
            batch, training=training, progress=progress, **options
        )
        from tncompile.inspection.report.making import report_of

        given = {"batch": batch, **options}
        return report_of(self, figures, given, values, theme)  # type: ignore[arg-type]

    def vary(
        self,
        name: str,
        values: Sequence[Value | list[int]],
        *,
        batch: int | None = None,
        progress: Progress | None = None,
        **options: Any,
    ) -> Variation:
        """What it costs as one number varies: a parameter of the block, `batch`, or a size.

        For parameters each value is another architecture, which is planned. For `batch` and
        run-time sizes it is one plan, for `batch` or the usual size, at each of them. The keywords
        are those of `cost`. Raises ValueError for a name that is neither and where there are no
        values, and what `cost` raises.

        >>> arch.vary("ranks", [2, 4], search="fast").parameters
        (160, 288)
        >>> arch.vary("batch", [1, 64], search="fast").costs[0].sizes
        {'...': 1}
        """
        from tncompile.inspection.varying.variation import varied

        given = {"batch": batch, "progress": progress, **options}
        return varied(self, name, values, given)  # type: ignore[arg-type]

    def diff(
        self,
        other: Architecture,
        batch: int | None = None,
        *,
        training: bool = False,
        progress: Progress | None = None,
        **options: Unpack[SearchOptions],
    ) -> Difference:
        """How another architecture differs from this one: structure, parameters, costs.

        Tensors, indices and parts are compared by name, and what `forward` computes. Keywords are
        those of `cost`; `sizes` are given to the one that knows them. Costs are left out, which the
        result says, where a run-time size is neither given nor usual. With `training` the plans
        that are shown are those of a training step. A network and a model are compared in what they
        take, give, store and cost. Raises TypeError for what is no architecture, ValueError for a
        size that neither knows, and what `cost` raises.

        >>> other = spec.instantiate("MPO", ins=[4, 8], outs=[8, 4], ranks=2)
        >>> found = arch.diff(other, batch=64, search="fast")
        >>> [(each.name, each.before, each.after) for each in found.changes][0]
        ('b[0]', '4', '2')
        >>> found.figures[0].name, found.figures[0].ratio
        ('parameters', 0.5555555555555556)
        """
        from tncompile.inspection.comparing.compare import compared

        if not isinstance(other, Inspected):
            raise TypeError(
                f"an architecture is compared with one, not with a {type(other).__name__}"
            )
        return compared(self, other, batch, training, progress, options)  # type: ignore[arg-type]

    def symbolic(
        self,
        batch: int | None = None,
        *,
        training: bool = False,
        minimize: Minimize = "time",
        progress: Progress | None = None,
        **options: Unpack[SearchOptions],
    ) -> SymbolicCost:
        """What the module costs as polynomials in the parameters of the block and run-time sizes.

        Keywords, and what is raised, are those of `cost`; the polynomials are of a forward pass,
        with `training` of a training step. Each is the sum of what the operations of the plan do,
        so at these sizes it is the number of `cost`; at others it holds for the same order of
        contraction, with the same tensors. A list that one number was given for is one letter. A
        size that is no polynomial, such as `min(16, d)`, is a letter of its own and is listed.

        >>> figures = arch.symbolic(batch=64, search="fast")
        >>> figures.parameters
        ins[0]·outs[0]·ranks + ins[1]·outs[1]·ranks + outs[0]·outs[1]
        >>> figures.parameters.value, figures.parameters.at(ranks=8)
        (288, 544)
        """
        from tncompile.inspection.symbolic.cost import symbolic_cost

        given = batch, minimize, training, progress, options
        return symbolic_cost(self, *given)  # type: ignore[arg-type]

    def bonds(
        self,
        module: nn.Module | Mapping[str, torch.Tensor],
        *,
        cut: Sequence[str] | None = None,
    ) -> Bonds:
        """What the bonds of a module of this network carry: singular values, entropies in nats.

        Of a network without loops each bond cuts the map in two, and its singular values are exact,
        in float64; bonds between the same two tensors count as one. With loops, `cut` names bonds
        that together cut the network. Biases are no part of the map, and axes count in full where
        they are padded. Weights may be a state dict. Raises ValueError for loops without a `cut`,
        bonds that cut nothing off, and weights that do not fit.

        >>> found = arch.bonds(arch.module(seed=0, search="fast"))
        >>> list(found), found["b[0]"].singular_values.shape
        (['b[0]'], torch.Size([4]))
        >>> found["b[0]"].truncation_error(4), found["b[0]"].entropy <= 1.3863
        (0.0, True)
        """
        from tncompile.inspection.bonds.bonds import bonds_of

        return bonds_of(self.network, _weights(module), cut)

    def canonicalize(self, module: nn.Module, bond: str) -> nn.Module:
        """A copy of a module in the gauge of a bond: the same map, to rounding.

        All tensors are isometries towards the bond where they have room for it; the two that it
        joins have its singular values as the squared norms of their slices along it, largest first.
        Raises ValueError for loops, hyperedges, and tensors that are shared, tied or frozen.

        >>> layer = arch.module(seed=0, search="fast")
        >>> torch.allclose(arch.canonicalize(layer, "b[0]").weight, layer.weight, atol=1e-6)
        True
        """
        import copy

        from tncompile.inspection.bonds.canonical import canonical_values

        made = copy.deepcopy(module)
        made.load_state_dict(canonical_values(self.network, _weights(module), bond))
        return made

    def truncate(
        self,
        module: nn.Module,
        *,
        tolerance: float | None = None,
        ranks: Mapping[str, int] | None = None,
    ) -> Truncated:
        """A smaller architecture with the weights of a module, bonds cut down to what they carry.

        `ranks` are sizes of bonds by name; with a `tolerance` they are the smallest for which the
        map keeps that relative error, in the Frobenius norm. Bonds that one argument gives a size
        together get the largest of theirs. The result has the architecture, its module, and the
        `error` that it promises. Raises ValueError for what `canonicalize` does, for bonds whose
        sizes follow from no argument, and where none is smaller as others keep it as it is.

        >>> layer = arch.module(seed=0, search="fast")
        >>> small = arch.truncate(layer, ranks={"b[0]": 2})
        >>> small.architecture.arguments["ranks"], small.ranks
        ((2,), {'b[0]': 2})
        """
        from tncompile.inspection.bonds.truncating import truncated

        return truncated(self, module, _weights(module), tolerance, ranks)  # type: ignore[arg-type]


def _weights(module: nn.Module | Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state dict of a module, or one that was given."""
    from tncompile.inspection.bonds.graph import weights_of

    return weights_of(module)
