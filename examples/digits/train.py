"""Train tensor networks and their dense twin on handwritten digits; print what each got.

python examples/digits/train.py [--epochs N] [NAME ...]
"""

from __future__ import annotations

import argparse

import data
import dense
import mpo_mlp
import mps
import torch
import training
import tree

MODELS = {
    "dense twin": dense.build,
    "MPO perceptron": mpo_mlp.build,
    "MPS over pixels": mps.build,
    "tree over patches": tree.build,
}


def main() -> None:
    """Train what was asked for and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"what to train: {', '.join(MODELS)}")
    parser.add_argument("--epochs", type=int, default=training.EPOCHS)
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in MODELS]:
        parser.error(f"no model {unknown[0]!r}: there are {', '.join(MODELS)}")
    torch.set_num_threads(1)  # the fastest for products as small as these
    splits = data.load()
    print(f"{'':18} parameters  of dense  validation    test    time")
    twin = sum(parameter.numel() for parameter in dense.build().parameters())
    for name in given.names or MODELS:
        got = training.train(name, MODELS[name], splits, given.epochs)
        print(
            f"{name:18} {got.parameters:10,}  {got.parameters / twin:7.0%}   {got.validation:9.2%}"
            f"  {got.test:6.2%}  {got.seconds:4.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
