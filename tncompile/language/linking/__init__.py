"""Files to a `LinkedProgram`: imports followed, blocks named, instances bound."""

from tncompile.language.linking.linker import link

__all__ = ["link"]
