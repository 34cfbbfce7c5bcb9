"""The command line: one file a command, put together in `application`."""

from tncompile.cli.application import main as main

__all__ = ["main"]
