"""Whole models: `tncompile tensorize`."""

from __future__ import annotations

import os
import shutil
import warnings
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tncompile.cli.numbers as numbers
import tncompile.cli.options as opt
from tncompile.cli.calibrating import BATCH, LENGTH, Data, calibrated, read_data
from tncompile.cli.command import command, option
from tncompile.cli.writing import UsageError, columns, refused, report, say, show, waiting
from tncompile.language.diagnostics.errors import CompileError

if TYPE_CHECKING:
    from torch import nn

    from tncompile.tensorizing.calibrating.model_moments import Moments
    from tncompile.tensorizing.replacing.tensorized import Tensorized
    from tncompile.tensorizing.rewriting.rewrite import Rewrite


def _weights(text: str) -> str:
    if text not in ("int8", "int4"):
        raise UsageError(f"--weights takes int8 or int4, not {text!r}")
    return text


def _count(name: str) -> Any:
    return lambda text: opt.positive(name, text)


@command(
    "tensorize",
    "Replace layers of a trained model by tensor networks that are fitted to them.",
    "MODEL is a folder of transformers (config.json and safetensors: no code in it is run), or\n"
    "`module:callable`, which is imported and run, also from the working directory. A rewrite\n"
    "says which layers become which networks; a budget finds what each layer becomes, best with\n"
    "data: its table and the report of what was lost go to standard output. OUT is a folder that\n"
    "`tncompile.load_model` reads, and transformers after `import tncompile.transformers`; it\n"
    "appears whole or not at all, and is read again before it does. A run that was interrupted\n"
    "goes on where it was: it keeps what is done in a hidden folder beside OUT until it ends.",
    [
        "tncompile tensorize my_models:make_classifier --rewrite small.tn -o small",
        "tncompile tensorize minilm --budget params=0.5 --calibrate texts.txt -o half",
        "tncompile tensorize minilm --budget 0.35 --calibrate texts.txt --refit \\\n"
        "      --heal minutes=15 --weights int8 -o third",
    ],
    [
        option("MODEL", "a folder, or `module:callable`", dest="MODEL"),
        option("-o --output OUT", "the folder to write", required=True, dest="out"),
        option("--rewrite FILE", "a .tn file with a `rewrite` block"),
        option("--name R", "which rewrite of the file, where it has several"),
        option(
            "--tolerance E",
            "the relative error that ranks are chosen for where lines leave them out",
            numbers.tolerance,
        ),
        option(
            "--budget UNIT=N",
            "what may be spent: params, bytes, flops, time (µs): a part up to 1, else a number;"
            " or error",
            numbers.budget,
        ),
        option("--candidates A,B", "blocks beside LowRank that may be chosen, like Monarch,MPO"),
        option(
            "--floor RANK",
            "the least rank, or part of the full one; PATTERN=RANK for some layers; repeatable",
            numbers.floor,
            action="append",
        ),
        option(
            "--embedding-share S",
            "the part that embeddings keep (that of the budget)",
            numbers.share,
        ),
        option("--multiple N", "what ranks are multiples of (8)", _count("--multiple")),
        option("--layers PATTERN", "the layers that may change; repeatable", action="append"),
        option(
            "--calibrate DATA",
            "`module:callable` that gives batches; of a folder with a tokenizer, a text a line",
        ),
        option("--output-of REF", "a function of a model and a batch: what counts", dest="output"),
        option("--batch N", f"texts of a batch ({BATCH})", _count("--batch")),
        option("--length N", f"tokens of a text at most ({LENGTH})", _count("--length")),
        option("--moments FILE", "what `tncompile.Moments.save` wrote, in place of data"),
        option("--refit", "then fit anew, in closed form, on what the smaller model sees"),
        option(
            "--heal UNIT=N", "then train on the original's outputs: minutes=15", numbers.healing
        ),
        option("--weights KIND", "then store weights as integers: int8 or int4", _weights),
        option(
            "--group N",
            "numbers that a scale is for (64 in four bits, a row in eight)",
            _count("--group"),
        ),
        option(
            "--planned-for CALL",
            "rows, or images and their lengths, that networks are planned for, like 16x224x224"
            " (what data say); PATTERN=CALL for some layers; repeatable",
            numbers.planned,
            action="append",
        ),
        option("--seed N", "of random starts (0)", numbers.seed, default="0"),
        option(
            "--memory-limit BYTES", "the most to use beside the model, like 2G", opt.memory_limit
        ),
        option("--no-resume", "forget what an interrupted run has kept"),
        opt.ROOT,
    ],
)
def tensorize(arguments: Namespace) -> None:
    """Write a folder with a tensorized model, and show what was lost."""
    _require_fitting(arguments)
    output, work = _places(arguments)
    try:
        _run(arguments, output, work)
    except KeyboardInterrupt:
        if _holds_anything(work):
            say("the same call goes on from here")
        raise
    except (UsageError, CompileError):
        if _holds_anything(work):
            say(f"note: what is done is kept in {work.name}; --no-resume forgets it")
        raise


def _holds_anything(work: Path) -> bool:
    """Whether something is kept; empty folders are removed."""
    if any(each.is_file() and each.name != "README" for each in work.rglob("*")):
        return True
    shutil.rmtree(work, ignore_errors=True)
    return False


def _run(arguments: Namespace, output: Path, work: Path) -> None:
    rewrite = _read_rewrite(arguments)
    moments = _read_moments(arguments)
    model = _read_model(arguments)
    data = None
    if arguments.calibrate is not None:
        data = read_data(arguments, model)
        if moments is None:
            moments = calibrated(arguments, model, data, work)
    if rewrite is None:
        rewrite = _allocated(arguments, model, moments, work)
    done = _tensorized(arguments, model, rewrite, moments, work)
    if data is not None:
        done = _healed(arguments, model, done, data, moments, work)
    if arguments.weights is not None:
        done = _quantized(arguments, done, moments)
    with refused(f"cannot write {arguments.out}: ", OSError, ValueError):
        done.save(output, model=arguments.MODEL if ":" in arguments.MODEL else None)
    shutil.rmtree(work, ignore_errors=True)
    show(repr(done.report))
    say(f"wrote {arguments.out}")


OF_BUDGETS = ("candidates", "floor", "embedding_share", "multiple", "layers")
OF_REWRITES = ("name", "tolerance")
OF_DATA = ("output", "batch", "length", "refit", "heal")


def _require_fitting(arguments: Namespace) -> None:
    """`UsageError` for options that do not go together."""

    def given(names: tuple[str, ...]) -> Iterator[str]:
        for name in names:
            if getattr(arguments, name) not in (None, False):
                yield "--output-of" if name == "output" else f"--{name.replace('_', '-')}"

    if arguments.rewrite is not None and arguments.budget is not None:
        raise UsageError("--rewrite says what layers become, --budget finds it: give one of them")
    if arguments.rewrite is None and arguments.budget is None:
        raise UsageError(
            "say what layers become: --rewrite FILE, or --budget params=0.5, which finds it"
        )
    if arguments.budget is None:
        for name in given(OF_BUDGETS):
            raise UsageError(f"{name} is for --budget; a rewrite says so in its lines")
    else:
        for name in given(OF_REWRITES):
            raise UsageError(f"{name} is for --rewrite; a budget finds the ranks")
    if arguments.group is not None and arguments.weights is None:
        raise UsageError("--group is for integers: add --weights int4")
    if arguments.weights is not None:
        from tncompile.network.packing import quantization

        with refused("--weights: ", ValueError, TypeError):
            quantization(arguments.weights, arguments.group)
    if arguments.calibrate is None:
        for name in given(OF_DATA):
            raise UsageError(f"{name} is for data: add --calibrate DATA")
    elif arguments.moments is not None and not (arguments.refit or arguments.heal):
        raise UsageError("--moments are what --calibrate finds: give one of them")


def _places(arguments: Namespace) -> tuple[Path, Path]:
    """The folder to write, and a hidden one beside it for what is done meanwhile."""
    output = Path(arguments.out)
    if os.path.lexists(output) and not (output.is_dir() and not any(output.iterdir())):
        raise UsageError(f"-o {arguments.out} is there already; name a new folder")
    work = output.absolute().with_name(f".{output.absolute().name[:200]}.tncompile")
    above = next(each for each in work.parents if os.path.lexists(each))
    if not above.is_dir():
        raise UsageError(f"cannot write {arguments.out}: {above} is not a directory")
    if work.exists() and not work.is_dir():
        raise UsageError(f"cannot write {arguments.out}: {work} is in the way")
    if arguments.no_resume:
        with refused(f"cannot remove {work}: ", OSError):
            shutil.rmtree(work) if work.exists() else None
    with refused(f"cannot write {arguments.out}: ", OSError):
        with suppress(FileNotFoundError):
            os.lstat(output)  # a name may be too long
        if work.parent.is_dir():  # before anything is computed
            work.mkdir(exist_ok=True)
        elif not os.access(above, os.W_OK | os.X_OK):
            raise PermissionError(13, "permission denied")
    return output, work


def _read_rewrite(arguments: Namespace) -> Rewrite | None:
    if arguments.rewrite is None:
        return None
    from tncompile.tensorizing.rewriting.rewrite import Rewrite

    with refused(f"cannot read {arguments.rewrite}: ", OSError), refused("", ValueError):
        return Rewrite.load(arguments.rewrite, arguments.name, root=arguments.root)


def _read_moments(arguments: Namespace) -> Moments | None:
    if arguments.moments is None:
        return None
    from tncompile.tensorizing.calibrating.model_moments import Moments

    with refused(f"cannot read {arguments.moments}: ", OSError), refused("", ValueError):
        return Moments.load(arguments.moments)


def _read_model(arguments: Namespace) -> nn.Module:
    from tncompile.tensorizing.replacing.skeletons import made_model

    with refused("MODEL: ", ValueError):
        return made_model(arguments.MODEL)


def _allocated(
    arguments: Namespace, model: nn.Module, moments: Moments | None, work: Path
) -> Rewrite:
    """What a budget buys, shown as a table; what is found of each layer is kept."""
    from tncompile.tensorizing.allocating.allocate import allocate

    candidates = [each.strip() for each in (arguments.candidates or "").split(",")]
    if arguments.candidates is not None and not all(candidates):
        raise UsageError(f"--candidates takes names with commas, not {arguments.candidates!r}")
    given: dict[str, Any] = {"candidates": ["LowRank", *filter(None, candidates)]}
    if arguments.multiple is not None:
        given["multiple"] = arguments.multiple
    kept = work / "allocation"
    if found_before := len(list(kept.glob("*.json"))):
        say(f"allocation goes on with {found_before} answers of before; --no-resume forgets them")
    unwritten = refused(f"cannot write {arguments.out}: ", OSError)
    with waiting("allocating") as progress, _noted(), refused("--budget: ", ValueError), unwritten:
        found = allocate(
            model,
            arguments.budget,
            moments=moments,
            floors=dict(arguments.floor) if arguments.floor else None,
            embedding_share=arguments.embedding_share,
            layers=arguments.layers,
            seed=arguments.seed,
            checkpoint=kept,
            progress=progress,
            **given,
        )
    show(found.table(columns()) + "\n")
    return found.rewrite


def _tensorized(
    arguments: Namespace, model: nn.Module, rewrite: Rewrite, moments: Moments | None, work: Path
) -> Tensorized:
    """The layers replaced; each is kept once it is fitted."""
    from tncompile.planning.wording import bytes_text
    from tncompile.tensorizing.replacing.memory import memory_needed
    from tncompile.tensorizing.replacing.tensorized import tensorize
    from tncompile.tensorizing.rewriting.replacements import replacements

    found = replacements(rewrite, model)[0]
    warned = (each for one in found for each in one.architecture.warnings)
    report(dict.fromkeys(warned))
    needed = memory_needed(model, found, moments)
    say(f"about {bytes_text(needed)} of memory are needed beside the model")
    fits = work / "fits"
    if kept := len(list(fits.glob("*.safetensors"))):
        layers, them = ("layer was", "it") if kept == 1 else ("layers were", "them")
        say(f"{kept} {layers} fitted before; --no-resume forgets {them}")
    unwritten = refused(f"cannot write {arguments.out}: ", OSError)
    with waiting("fitting") as progress, _noted(), refused("", ValueError), unwritten:
        return tensorize(
            model,
            rewrite,
            moments=moments,
            seed=arguments.seed,
            tolerance=arguments.tolerance,
            planned_for=dict(arguments.planned_for) if arguments.planned_for else None,
            memory_limit=arguments.memory_limit,
            checkpoint=fits,
            progress=progress,
        )


def _healed(
    arguments: Namespace,
    model: nn.Module,
    done: Tensorized,
    data: Data,
    moments: Moments | None,
    work: Path,
) -> Tensorized:
    """What `--refit` and `--heal` make of it."""
    from tncompile.tensorizing.healing.distill import distill
    from tncompile.tensorizing.healing.refit import refit

    if arguments.refit:
        with waiting("refitting") as progress, refused("--refit: ", ValueError, TypeError):
            refitted = refit(
                model,
                done,
                data.batches,
                output=data.output,
                moments=moments,
                seed=arguments.seed,
                progress=progress,
            )
        show(f"{refitted!r}\n")
        done = refitted.tensorized
    if arguments.heal:
        file = work / "healing.safetensors"
        unwritten = refused(f"cannot write {arguments.out}: ", OSError)
        known = refused("--heal: ", ValueError, TypeError)
        with waiting("healing") as progress, known, unwritten:
            taught = distill(
                model,
                done,
                data.batches,
                output=data.output,
                moments=moments,
                checkpoint=file,
                seed=arguments.seed,
                progress=progress,
                **arguments.heal,
            )
        show(f"{taught!r}\n")
        assert taught.tensorized is not None
        done = taught.tensorized
    return done


def _quantized(arguments: Namespace, done: Tensorized, moments: Moments | None) -> Tensorized:
    """What `--weights` makes of it."""
    from tncompile.tensorizing.quantizing.quantize import quantize

    with waiting("quantizing") as progress, refused("--weights: ", ValueError, TypeError):
        return quantize(
            done, arguments.weights, group=arguments.group, moments=moments, progress=progress
        )


@contextmanager
def _noted() -> Iterator[None]:
    """Warnings of the body as remarks."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            yield
        finally:
            for each in caught:
                say(f"note: {each.message}")
