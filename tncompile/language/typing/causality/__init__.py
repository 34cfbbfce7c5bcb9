"""Whether a model is causal along a size: entry i depends on entries up to i alone."""

from tncompile.language.typing.causality.checking import check_causal as check_causal
