"""The architectures of digits.tn, loaded once."""

from pathlib import Path

import tncompile

SPEC = tncompile.load(Path(__file__).with_name("digits.tn"))
