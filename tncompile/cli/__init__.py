"""The command line: commands by what they need, put together in `application`."""

from tncompile.cli.application import main as main

__all__ = ["main"]
