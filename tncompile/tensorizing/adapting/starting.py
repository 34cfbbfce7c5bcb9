"""Networks that add nothing at the start, and yet are reached by gradients.

The map of a network is a product, so it vanishes with one factor, and the gradient of that factor
is the product of all others, which do not. Two factors of zeros would be reached by nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import NamedTuple

from tncompile.architecture import Architecture
from tncompile.initialization.norm import starts_at_zero
from tncompile.language.resolved import ResolvedInit
from tncompile.network.model import RUN_TIME, Parameter, TensorNetwork


class Start(NamedTuple):
    """An architecture that starts at zero.

    With `taken_off` it does not: all its tensors stand at several places, so that none can be zero
    alone. A frozen copy of the start is subtracted then.
    """

    architecture: Architecture
    taken_off: bool


def zero_start(architecture: Architecture) -> Start:
    """The same network with one tensor that starts at zeros, which `vanishing` chooses.

    Raises ValueError for a network that gradients would not reach: several of its tensors are
    declared as zeros, a frozen one is, or all are frozen.
    """
    network = architecture.network
    key = vanishing(network)
    if key is None:
        return Start(architecture, taken_off=True)
    if starts_at_zero(network.parameter[key]):
        return Start(architecture, taken_off=False)
    resolved = architecture._block
    parameters = tuple(
        replace(each, init=ResolvedInit("zeros")) if each.key == key else each
        for each in resolved.parameters
    )
    changed = replace(resolved, parameters=parameters)
    return Start(replace(architecture.unlocked(), _resolved=changed), taken_off=False)


def vanishing(network: TensorNetwork) -> str | None:
    """The key of the tensor that starts at zeros; None where each stands at several places.

    It is the one that the text declares so. Else it is one that is trained and stands at one
    place: best with legs of the output and none of the input, as B of LoRA, then with both, then
    with neither; the last of these.
    """
    uses = Counter(tensor.source for tensor in network.tensors if tensor.role == "parameter")
    what = network.target
    zeros = [p for p in network.parameters if uses[p.key] and starts_at_zero(p)]
    for parameter in zeros:
        if parameter.frozen:
            raise ValueError(f"`{parameter.key}` of {what} is frozen at zero: nothing is trained")
    if sum(uses[parameter.key] for parameter in zeros) > 1:
        names = " and ".join(f"`{parameter.key}`" for parameter in zeros)
        words = f"{names} start at zero" if len(zeros) > 1 else f"{names} stands at several places"
        raise ValueError(f"{words} in {what}: no gradient would reach them, leave `init` out")
    if zeros:
        return zeros[0].key
    trained = [p for p in network.parameters if uses[p.key] and not p.frozen]
    if not trained:
        raise ValueError(f"all tensors of {what} are frozen: there is nothing to train")
    single = [parameter for parameter in trained if uses[parameter.key] == 1]
    if not single:
        return None
    return min(reversed(single), key=lambda parameter: _order(network, parameter)).key


def _order(network: TensorNetwork, parameter: Parameter) -> int:
    """How far a tensor is from being one of outputs alone."""
    run_time = {index.name for index in network.indices if index.kind in RUN_TIME}
    inputs = {leg for each in network.tensors if each.role == "input" for leg in each.legs}
    inputs |= {window.kernel_leg for window in network.windows}
    legs = {leg for axis in parameter.axes for leg in axis} - run_time
    into, out = bool(legs & inputs), bool(legs.intersection(network.output.legs))
    return {(False, True): 0, (True, True): 1, (False, False): 2, (True, False): 3}[into, out]
