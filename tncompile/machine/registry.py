"""The machine profile that a name stands for."""

from __future__ import annotations

import os
from pathlib import Path

from tncompile.machine.datasheet import nominal_cuda
from tncompile.machine.profile import BUILTIN, CPU, CUDA, MachineProfile, path_text, read_profile

MEASURED = {"measured": CPU, "measured-cuda": CUDA}
"""The names of the profiles measured on this machine, with their devices."""


def measured_path(device: str = CPU) -> Path:
    """Where `tncompile calibrate` stores the profile of this machine, or of its CUDA device."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    folder = Path(cache) if os.path.isabs(cache) else Path.home() / ".cache"
    return folder / "tncompile" / ("machine.json" if device == CPU else f"machine-{device}.json")


def find_profile(name: str | MachineProfile) -> MachineProfile:
    """The profile that `--machine` names: `builtin`, `cuda`, `measured`, `measured-cuda`, a file.

    A profile stands for itself. Raises ValueError, with a hint, where there is none, or a damaged
    one.
    """
    if isinstance(name, MachineProfile):
        return name
    if name == "builtin":
        return BUILTIN
    if name == CUDA:
        return nominal_cuda()
    device = MEASURED.get(name)
    path = Path(name) if device is None else measured_path(device)
    try:
        return read_profile(path)
    except FileNotFoundError:
        if device is None:
            names = "`builtin`, `cuda`, `measured`, `measured-cuda`"
            hint = f"{names} and files that `tncompile calibrate -o FILE` has written are profiles"
            raise ValueError(f"there is no machine profile {path_text(name)}; {hint}") from None
        what, option = "machine", ""
        if device != CPU:
            what, option = f"machine's {device.upper()} device", f" --{device}"
        hint = f"`tncompile calibrate{option}` does that in less than a minute"
        raise ValueError(f"this {what} has not been measured yet; {hint}") from None
    except OSError as error:
        message = f"cannot read the machine profile {path_text(path)}: {error.strerror}"
        raise ValueError(message) from error


def builtin_for(device: str) -> str:
    """The name of the profile that decides on a kind of device unless another is asked for."""
    return CUDA if device == CUDA else "builtin"
