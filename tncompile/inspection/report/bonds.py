"""What the bonds of a network carry, beside what they carry after a fresh start."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict

import tncompile.planning.wording as wording
from tncompile.inspection.bonds.bonds import Bond, Bonds, bonds_of
from tncompile.inspection.bonds.graph import require_weights
from tncompile.inspection.charts.chart import Spectrum
from tncompile.inspection.charts.show import chart_svg
from tncompile.inspection.drawing.theme import Theme
from tncompile.inspection.report.costs import WIDTH
from tncompile.inspection.report.markup import EMPTY, Html, data, element, joined, table, text
from tncompile.network.editing import resize
from tncompile.network.model import TensorNetwork
from tncompile.network.verifying import verify_network
from tncompile.planning.report.candidates import CandidatePlan
from tncompile.planning.report.cost import Cost

if TYPE_CHECKING:
    import torch

MOST_PICTURES = 24
"""Bonds with a picture and a slider: the first and the last of more."""

MOST_ROWS = 60
MOST_TIMED = 10_000
"""Tensors, times orders, times ranks whose time is predicted: large networks have fewer of them."""


def bonds_part(
    network: TensorNetwork,
    cost: Cost,
    weights: Mapping[str, torch.Tensor],
    fresh: Mapping[str, torch.Tensor],
    theme: Theme,
    *,
    given: bool,
    orders: Sequence[CandidatePlan] = (),
) -> Html:
    """A table of all bonds, spectra with a slider of the rank; why there is none, where there is.

    Numbers of a fresh start stand beside those of given weights, since an untrained network has
    entropy, too. Empty for networks without bonds between tensors.
    """
    try:
        beside = bonds_of(network, fresh, None)
    except ValueError as refused:  # it has loops
        require_weights(network, weights)
        return element("p", text(_sentence(str(refused))), class_="note")
    found = bonds_of(network, weights, None) if given else beside
    bonds = [bond for bond in found.values() if bond.size > 1]
    if not bonds:
        return EMPTY
    words = (
        "Beside each number is that of a fresh start: an untrained network has entropy, too."
        if given
        else "Untrained weights, seed 0: these are the numbers of a random start. A report with "
        "weights has them beside the numbers of a trained network."
    )
    shown = _ends(bonds, MOST_PICTURES)
    return joined(
        [
            element("p", text(words), class_="note"),
            _sliders(network, cost, shown, beside, theme, len(bonds), given=given, orders=orders),
            _table(_ends(bonds, MOST_ROWS), beside, len(bonds), given=given),
        ]
    )


class _Stored(TypedDict):
    """What the script of the page knows of a bond: a sentence a rank."""

    size: int
    ranks: list[str]


def _sentence(words: str) -> str:
    """The words of an error as a sentence."""
    start = words.partition(":")[0]
    return f"No bonds are shown: {start}. `tncompile bonds --cut` takes all bonds of a cut."


def _ends(bonds: Sequence[Bond], most: int) -> list[Bond]:
    """All bonds, or the first and the last ones."""
    if len(bonds) <= most:
        return list(bonds)
    return [*bonds[: most // 2], *bonds[-(most // 2) :]]


def _sliders(
    network: TensorNetwork,
    cost: Cost,
    bonds: list[Bond],
    beside: Bonds,
    theme: Theme,
    count: int,
    *,
    given: bool,
    orders: Sequence[CandidatePlan],
) -> Html:
    """A choice of bonds, a slider of the rank, what it leaves of the map and what it takes."""
    figures: list[Html] = []
    options: list[Html] = []
    stored: dict[str, _Stored] = {}
    each = MOST_TIMED // len(network.tensors) // len(bonds)  # orders times ranks of a bond
    orders = orders[: each // 4]
    for place, bond in enumerate(bonds):
        fresh = beside[bond.name]
        spectrum = Spectrum(
            f"Singular values of {bond.name}",
            bond.weights.tolist(),
            fresh.weights.tolist() if given else (),
            rank=bond.size,
            names=("these weights", "fresh") if given else ("fresh", "fresh"),
        )
        caption = f"{bond.name}: singular values over the norm of the map, largest first"
        figures.append(
            element(
                "figure",
                Html(chart_svg(spectrum, theme, width=WIDTH)),
                element("figcaption", text(caption)),
                data_bond=str(place),
                hidden=place > 0,
            )
        )
        timed = _timed(bond.size, max(2, each // (1 + len(orders))))
        ranks = [""]
        for rank in range(1, bond.size + 1):
            words = _words(bond, fresh, rank, given=given)
            ranks.append(
                words + _taken(network, cost, bond, rank, orders if rank in timed else None)
            )
        stored[str(place)] = {"size": bond.size, "ranks": ranks}
        options.append(element("option", text(f"{bond.name}, size {bond.size}"), value=str(place)))
    first = bonds[0].size
    slider = Html(
        f'<input type="range" min="1" max="{first}" value="{first}" aria-label="Rank of the bond">'
    )
    return element(
        "div",
        element(
            "div",
            element("label", text("Bond "), element("select", *options)),
            slider,
            class_="controls",
        ),
        element("p", text(stored["0"]["ranks"][first]), class_="say", aria_live="polite"),
        element("p", text(_remark(count, len(bonds), len(orders))), class_="dim"),
        *figures,
        data(stored),
        class_="bonds",
    )


def _remark(count: int, shown: int, orders: int) -> str:
    """What the slider stands for."""
    which = f"the fastest of {orders} orders" if orders > 1 else "this order"
    few = f" The first and the last {shown // 2} of {count:,} bonds." if shown < count else ""
    return (
        f"As if this bond alone had that rank, in {which}; another search may find a faster "
        f"one.{few}"
    )


def _timed(size: int, most: int) -> set[int]:
    """All ranks, or so many with about equal quotients, the whole size among them."""
    if size <= most:
        return set(range(1, size + 1))
    return {round(size ** (1 - k / most)) for k in range(most)}


def _words(bond: Bond, fresh: Bond, rank: int, *, given: bool) -> str:
    """What a rank of one bond leaves of the map."""
    words = f"rank {rank} of {bond.size}: relative error {_percent(bond.truncation_error(rank))}"
    return words + (f" (fresh: {_percent(fresh.truncation_error(rank))})" if given else "")


def _percent(error: float) -> str:
    return f"{wording.digits_text(100 * error)} %" if error > 5e-7 else "0 %"


def _taken(
    network: TensorNetwork,
    cost: Cost,
    bond: Bond,
    rank: int,
    orders: Sequence[CandidatePlan] | None,
) -> str:
    """What is stored and, with `orders`, what a run takes if this bond alone has that rank."""
    if bond.name not in network.index:  # several bonds, or a leg of a hyperedge
        return ""
    resized = resize(network, bond.name, rank)
    if next(verify_network(resized), None):  # a shared parameter: it has no size of its own
        return ""
    stored = f"; {resized.parameter_count:,} parameters"
    if orders is None:
        return f"{stored}, time not predicted"
    time = wording.seconds_text(cost.resized(bond.name, rank, orders).seconds)
    return f"{stored}, predicted time {time}"


def _table(bonds: list[Bond], beside: Bonds, count: int, *, given: bool) -> Html:
    """A row a bond; numbers of a fresh start in columns of their own."""
    head = ["bond", "size", "at most", "entropy"]
    head += ["fresh", "effective rank", "fresh"] if given else ["effective rank"]
    head += ["rank for 10 %", "rank for 1 %"]
    rows = []
    for bond in bonds:
        fresh = beside[bond.name]
        row = [bond.name, f"{bond.size:,}", f"{math.log(bond.size):.3f}", f"{bond.entropy:.3f}"]
        row += [f"{fresh.entropy:.3f}"] if given else []
        row += [f"{bond.effective_rank:.1f}"]
        row += [f"{fresh.effective_rank:.1f}"] if given else []
        rows.append([*row, f"{bond.rank_for(0.1):,}", f"{bond.rank_for(0.01):,}"])
    caption = "Entropies in nats; `at most` is that of equal singular values."
    if count > len(bonds):
        caption += f" The first and the last of {count:,} bonds."
    return table(head, rows, caption=caption)
