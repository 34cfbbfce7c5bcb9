"""What goes through the bonds of a block: `tncompile bonds`."""

from __future__ import annotations

from argparse import Namespace

import tncompile.cli.numbers as numbers
import tncompile.cli.options as opt
import tncompile.cli.reading as reading
from tncompile.cli.command import command, option
from tncompile.cli.writing import UsageError, columns, refused, say, show
from tncompile.model import Model


@command(
    "bonds",
    "Show what the bonds of a network carry: entropies, effective ranks, singular values.",
    "Of a network without loops each bond cuts the map in two, and its singular values are exact;\n"
    "with loops --cut names all bonds of a cut. Entropies are in nats; the columns 10 % and 1 %\n"
    "are the ranks that keep the map within that relative error. Without weights they are those\n"
    "of a fresh start, which are not zero: an untrained network has entropy, too.",
    [
        "tncompile bonds std/linear.tn 'MPO(ins = [4, 8, 8], outs = [8, 8, 4])'",
        "tncompile bonds std/classifier.tn MPSClassifier --seed 3",
        "tncompile bonds std/linear.tn 'TensorRing([4, 4, 4], [4, 4, 4])' --cut 'b[0],b[1]'",
    ],
    [
        opt.FILE,
        opt.TARGET,
        option("--weights FILE", "a state dict in safetensors (a fresh start)"),
        option("--cut NAMES", "bonds that together cut the network, with commas"),
        option("--seed N", "of the fresh start (0)", numbers.seed, default="0"),
        opt.ROOT,
    ],
)
def bonds(arguments: Namespace) -> None:
    """Show the table of the TARGET."""
    spec = reading.load_spec(arguments.file, arguments.root)
    architecture = reading.instantiate(spec, arguments.file, arguments.target)
    if isinstance(architecture, Model):
        raise UsageError("this is a model: name a network")
    cut = None
    if arguments.cut is not None:
        cut = _joined([name.strip() for name in arguments.cut.split(",")])
    if arguments.weights is None:
        say("a fresh start: no weights were given")
        values = dict(architecture.module(seed=arguments.seed, search="fast").state_dict())
    else:
        values = reading.weights(arguments.weights)
    with refused("", ValueError):
        show(architecture.bonds(values, cut=cut).table(columns()))


def _joined(parts: list[str]) -> list[str]:
    """Names that were split at the commas of their subscripts, whole again.

    >>> _joined(["v[0", "1]", "b"])
    ['v[0, 1]', 'b']
    """
    found: list[str] = []
    for part in parts:
        if found and "[" in found[-1] and "]" not in found[-1]:
            found[-1] = f"{found[-1]}, {part}"
        else:
            found.append(part)
    return found
