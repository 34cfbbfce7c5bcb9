"""What `tncompile tensorize` learns from data: batches, what counts of the output, moments."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tncompile.cli.writing import UsageError, refused, say, waiting

if TYPE_CHECKING:
    from torch import nn

    from tncompile.tensorizing.calibrating.model_moments import Moments

BATCH, LENGTH = 16, 128
"""Texts of a batch, and tokens of a text, unless options say otherwise."""


@dataclass(frozen=True)
class Data:
    """Batches, a function of a model and a batch that counts, and all that decides on both."""

    batches: Any
    output: Callable[[Any, Any], Any] | None
    identity: tuple[str, ...]


def read_data(arguments: Namespace, model: nn.Module) -> Data:
    """The data that `--calibrate` names. Raises `UsageError`."""
    text = arguments.calibrate
    if _is_reference(text):
        for name in ("batch", "length"):
            if getattr(arguments, name) is not None:
                raise UsageError(f"--{name} is for a file of texts; {text} makes its own batches")
        batches, source = _given(text)
        return Data(batches, _output(arguments, None), (text, source, arguments.output or ""))
    return _texts(arguments, model)


def _texts(arguments: Namespace, model: nn.Module) -> Data:
    from tncompile.tensorizing.originals.pretrained import is_pretrained_folder
    from tncompile.tensorizing.originals.texts import of_texts, of_tokens, pools, texts_of
    from tncompile.tensorizing.resuming.fits import key_of

    text, folder = arguments.calibrate, arguments.MODEL
    if not is_pretrained_folder(folder):
        hint = "name data as `module:callable`; a file of texts is for a folder with a tokenizer"
        raise UsageError(f"--calibrate {text}: {hint}")
    batch, length = arguments.batch or BATCH, arguments.length or LENGTH
    with refused(f"cannot read {text}: ", OSError), refused("--calibrate: ", ValueError):
        batches = texts_of(folder, text, model, batch=batch, length=length)
    usual = of_texts if pools(folder) else of_tokens
    identity = (key_of(*batches.lines), str(batch), str(length), arguments.output or "")
    return Data(batches, _output(arguments, usual), (*identity, usual.__name__))


def _output(
    arguments: Namespace, usual: Callable[[Any, Any], Any] | None
) -> Callable[[Any, Any], Any] | None:
    """What `--output` names."""
    from tncompile.tensorizing.replacing.skeletons import imported

    if arguments.output is None:
        return usual
    with refused("--output: ", ValueError):
        found = imported(arguments.output, "it is")
    if not callable(found):
        raise UsageError(f"--output: {arguments.output} is no function of a model and a batch")
    return found


def _is_reference(text: str) -> bool:
    from tncompile.tensorizing.replacing.skeletons import is_reference

    return is_reference(text)


def _given(text: str) -> tuple[Any, str]:
    """Batches that a user's code gives, and a digest of the file that it stands in."""
    import sys

    from tncompile.tensorizing.calibrating.calling import require_batches
    from tncompile.tensorizing.replacing.skeletons import imported
    from tncompile.tensorizing.resuming.fits import key_of

    with refused("--calibrate: ", ValueError):
        found = imported(text, "it is")
    try:
        given: Any = found() if callable(found) else found
    except Exception as error:
        raise UsageError(f"--calibrate: {text} raised {type(error).__name__}: {error}") from error
    file = getattr(sys.modules.get(text.partition(":")[0]), "__file__", None)
    source = Path(file).read_text("utf-8", "replace") if file and Path(file).is_file() else ""
    with refused("", TypeError):
        require_batches(f"--calibrate: what {text} gives", given)
    return given if iter(given) is not given else list(_guarded(given, text)), key_of(source)


def _guarded(given: Any, text: str) -> Iterator[Any]:
    """Batches of a generator, which can be gone through once; kept, as healing goes on and on."""
    try:
        yield from given
    except Exception as error:
        raise UsageError(f"--calibrate: {text} raised {type(error).__name__}: {error}") from error


def calibrated(arguments: Namespace, model: nn.Module, data: Data, work: Path) -> Moments:
    """Moments of a model on data; they are kept in a folder, and those that are there go on."""
    from tncompile.planning.wording import bytes_text
    from tncompile.tensorizing.calibrating.calibrate import calibrate
    from tncompile.tensorizing.calibrating.model_moments import Moments
    from tncompile.tensorizing.resuming.fits import key_of

    needed = Moments.bytes_needed(model, arguments.layers)
    say(f"calibration takes about {bytes_text(needed)} beside a forward and a backward pass")
    if arguments.memory_limit is not None and needed > arguments.memory_limit:
        limit = bytes_text(arguments.memory_limit)
        raise UsageError(f"calibration needs about {bytes_text(needed)}, the limit is {limit}")
    state = [each for pair in model.state_dict().items() for each in pair]
    tensors = [each for each in state if isinstance(each, str) or hasattr(each, "numel")]
    key = key_of(*data.identity, *(arguments.layers or ()), arguments.seed, *tensors)
    file = work / f"moments-{key[:16]}.safetensors"
    work.mkdir(parents=True, exist_ok=True)
    if file.exists():
        try:
            Moments.load(file)
            say(f"calibration goes on with {file}")
        except (ValueError, OSError) as error:
            say(f"note: {file} is damaged, calibration starts anew: {error}")
            file.unlink(missing_ok=True)
    unwritten = refused(f"cannot write {arguments.out}: ", OSError)
    with waiting("calibrating") as progress, refused("", ValueError, TypeError), unwritten:
        try:
            return calibrate(
                model,
                data.batches,
                output=data.output,
                layers=arguments.layers,
                seed=arguments.seed,
                file=file,
                progress=progress,
            )
        except RuntimeError as error:
            raise ValueError(f"the model cannot be called on these data: {error}") from error
