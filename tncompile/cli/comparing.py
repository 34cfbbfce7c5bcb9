"""A changed model beside the original: `tncompile compare`."""

from __future__ import annotations

import json
import math
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tncompile.cli.command import FINE, WRONG_PROGRAM, command, option
from tncompile.cli.numbers import seed
from tncompile.cli.writing import UsageError, refused, say, show, waiting, write_file
from tncompile.language.diagnostics.errors import CompileError


def _required(text: str) -> tuple[str, float]:
    """The name and the number of `--require NAME=NUMBER`.

    >>> _required("score:lee=0.97")
    ('score:lee', 0.97)
    """
    name, _, number = text.rpartition("=")
    try:
        threshold = float(number)
    except ValueError:
        threshold = math.nan
    if not name.strip() or not math.isfinite(threshold):
        raise UsageError(f"--require takes NAME=NUMBER, like cosine=0.95, not {text!r}")
    return name.strip(), threshold


@command(
    "compare",
    "Say whether a tensorized model is near enough to the original: ACCEPT or REGRESSION.",
    "MODEL is the original, a folder of transformers or what makes it; FOLDER is what `tncompile\n"
    "tensorize` wrote. Both run on the same batches, by the same code. What is named as\n"
    "`module:callable` is imported and run, also from the working directory; nothing in FOLDER\n"
    "is. Names that can be required: at least cosine, accuracy, score:NAME; at most error, kl,\n"
    "flips, perplexity, accuracy_lost, parameters, bytes, flops, time, loss:NAME. The exit code\n"
    "is 0 for ACCEPT, 1 for REGRESSION, 2 for a call that is wrong.",
    [
        "tncompile compare my_models:make small --data my_data:held_out --require cosine=0.95",
        "tncompile compare my_models:make small --data my_data:texts --labels my_data:labels \\\n"
        "      --require kl=0.1 --require flips=0.02 --require time=1 --json verdict.json",
    ],
    [
        option("MODEL", "a folder, or `module:callable`, as for `tensorize`"),
        option("FOLDER", "what `tncompile tensorize` or `Tensorized.save` wrote"),
        option("--data REF", "what gives the batches", required=True),
        option("--data2 REF", "the same of another kind of data: required there, too"),
        option(
            "--require NAME=NUMBER",
            "what has to be reached, or not passed; may be given several times",
            _required,
            action="append",
            default=[],
        ),
        option("--output REF", "a function of a model and a batch: the tensor that counts"),
        option("--labels REF", "a function of a batch: the right classes, negative for none"),
        option(
            "--kind",
            "of the outputs (auto)",
            choices=("auto", "vectors", "logits", "values"),
            default="auto",
        ),
        option("--scores REF", "what gives a dict of names and functions of a model"),
        option("--samples REF", "a function of a model: a text, or a list of them, to show"),
        option("--moments FILE", "what `tncompile.Moments.save` wrote, for errors in its metric"),
        option("--strict", "the worse end of each interval has to fulfill what is required"),
        option("--no-time", "measure no times: the result is the same in every run"),
        option("--seed N", "of what is drawn (0)", seed, default="0"),
        option("--json FILE", "write all of it as JSON (`-`: to standard output, and no table)"),
    ],
)
def compare(arguments: Namespace) -> int:
    """Show how far two models are apart; the exit code says whether that will do."""
    with _without_an_end():
        return _compared(arguments)


def _compared(arguments: Namespace) -> int:
    from tncompile.tensorizing.calibrating.model_moments import Moments
    from tncompile.tensorizing.comparing.compare import compare
    from tncompile.tensorizing.replacing.folders import load_model
    from tncompile.tensorizing.replacing.skeletons import made_model

    thresholds: dict[str, float] = {}
    for name, number in arguments.require:
        if name in thresholds:
            raise UsageError(f"--require {name} is given twice")
        thresholds[name] = number
    moments = None
    if arguments.moments is not None:
        with refused(f"cannot read {arguments.moments}: ", OSError), refused("", ValueError):
            moments = Moments.load(arguments.moments)
    functions = {name: _function(arguments, name) for name in ("output", "labels", "samples")}
    with refused("MODEL: ", ValueError):
        original = made_model(arguments.model)
    where = f"cannot read {arguments.folder}: "
    with refused(where, OSError), refused("FOLDER: ", ValueError, CompileError):
        changed = load_model(arguments.folder, model=original)
    given = {name: _given(arguments, name) for name in ("data", "data2", "scores")}
    with waiting("comparing") as progress, refused("", ValueError, TypeError):
        verdict = compare(
            original,
            changed,
            _batches(given["data"], "--data"),
            second=None if given["data2"] is None else _batches(given["data2"], "--data2"),
            scores=given["scores"],
            kind=arguments.kind,
            thresholds=thresholds,
            moments=moments,
            strict=arguments.strict,
            timing=not arguments.no_time,
            seed=arguments.seed,
            progress=progress,
            **functions,
        )
    if arguments.json != "-":
        show(repr(verdict))
    if arguments.json is not None:
        write_file(arguments.json, json.dumps(verdict.to_dict(), indent=2, allow_nan=False) + "\n")
        if arguments.json != "-":
            say(f"wrote {arguments.json}")
    return FINE if verdict.accepted else WRONG_PROGRAM


@contextmanager
def _without_an_end() -> Iterator[None]:
    """A module that ends the process has not accepted anything."""
    try:
        yield
    except SystemExit as ended:
        raise UsageError(f"what is imported ends the process: exit code {ended.code}") from ended


def _named(arguments: Namespace, name: str) -> tuple[str, Any]:
    """An option as it is written, and what the text names; None where it is not given."""
    from tncompile.tensorizing.replacing.skeletons import imported

    written, text = f"--{name}", getattr(arguments, name)
    if text is None:
        return written, None
    with refused(f"{written}: ", ValueError):
        return written, imported(text, "it is")


def _function(arguments: Namespace, name: str) -> Callable[..., Any] | None:
    """A function that an option names."""
    written, found = _named(arguments, name)
    if found is not None and not callable(found):
        raise UsageError(f"{written}: {getattr(arguments, name)} is no function")
    return found  # type: ignore[no-any-return]


def _given(arguments: Namespace, name: str) -> Any:
    """What an option names, or gives when it is called."""
    written, found = _named(arguments, name)
    if not callable(found):
        return found
    try:
        return found()
    except Exception as error:
        words = f"{getattr(arguments, name)} raised {type(error).__name__}: {error}"
        raise UsageError(f"{written}: {words}") from error


def _batches(given: Any, written: str) -> Any:
    """Batches that a user's code gives; where it fails, that is said to be theirs."""
    from tncompile.tensorizing.calibrating.calling import require_batches

    with refused("", TypeError):
        require_batches(f"what {written} gives", given)

    def guarded() -> Iterator[Any]:
        try:
            yield from given
        except Exception as error:
            raise ValueError(f"{written} raised {type(error).__name__}: {error}") from error

    return guarded()
