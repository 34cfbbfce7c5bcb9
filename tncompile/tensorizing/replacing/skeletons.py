"""Models named as `module:callable`, which users ask for by this text and never a file of ours.

So are other things that commands take; a model may be a folder of transformers, too.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable

from torch import nn

from tncompile.tensorizing.originals.pretrained import is_pretrained_folder, read_pretrained


def made_model(source: nn.Module | Callable[[], object] | str) -> nn.Module:
    """The model that a user names: itself, what makes it, `"module:callable"`, or a folder.

    The module is imported, also from the working directory; a folder is one of transformers, with
    safetensors. Raises ValueError where that fails or gives no nn.Module.
    """
    if isinstance(source, nn.Module):
        return source
    if isinstance(source, str) and is_pretrained_folder(source):
        try:
            return read_pretrained(source)
        except OSError as error:
            raise ValueError(f"{source} cannot be read: {error.strerror}") from error
    name = source if isinstance(source, str) else getattr(source, "__name__", "the callable")
    what = "a model is a folder with config.json and safetensors, or"
    make = imported(source, what) if isinstance(source, str) else source
    if isinstance(make, nn.Module):
        return make
    if not callable(make):
        raise ValueError(f"{name} is neither an nn.Module nor what makes one")
    try:
        made = make()
    except Exception as error:
        raise ValueError(f"{name} raised {type(error).__name__}: {error}") from error
    if not isinstance(made, nn.Module):
        raise ValueError(f"{name} makes a {type(made).__name__}, not an nn.Module")
    return made


def is_reference(text: object) -> bool:
    """Whether a text is like `module:callable`."""
    if not isinstance(text, str):
        return False
    module, colon, attribute = text.partition(":")
    parts = [*module.split("."), *attribute.split(".")]
    return bool(colon) and all(part.isidentifier() for part in parts)


def imported(reference: str, what: str = "a model is") -> object:
    """What a text like `module:callable` names; the module is imported, also from the working
    directory. Raises ValueError where that fails.
    """
    if not is_reference(reference):
        raise ValueError(f"{what} named as `module:callable`, not {reference!r}")
    module, _, attribute = reference.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: object = importlib.import_module(module)
    except Exception as error:
        words = f"{type(error).__name__}: {error}"
        raise ValueError(f"{module} cannot be imported: {words}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ValueError(f"{module} has no {attribute}")
        found = getattr(found, part)
    return found
