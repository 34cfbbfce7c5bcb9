"""Other people's packages, imported when they are needed."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

from benchmarks.contract import UnavailableError


def package(name: str) -> Any:
    """A package, or `UnavailableError` with the name of what to install."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module(name)
    except ImportError as error:
        raise UnavailableError(f"{name} is not installed ({error})") from None


def silently(make: Callable[..., Any], *given: object, **named: object) -> Any:
    """What `make` returns; what it prints or warns of meanwhile is dropped."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make(*given, **named)
