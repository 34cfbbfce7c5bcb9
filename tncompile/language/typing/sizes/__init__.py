"""Run-time sizes: polynomials, and what `require` says about them."""

from tncompile.language.typing.sizes.facts import Facts as Facts
from tncompile.language.typing.sizes.polynomials import Size as Size
from tncompile.language.typing.sizes.polynomials import SizeTooLarge as SizeTooLarge
from tncompile.language.typing.sizes.polynomials import product as product
