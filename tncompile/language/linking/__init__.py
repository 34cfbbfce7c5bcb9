"""Files to a `LinkedProgram`: imports followed, blocks named, instances bound.

Linking is the last of four stages, each of which imports those before it alone: `evaluating`,
`checking`, `resolving`, `linking`.
"""

from tncompile.language.linking.linker import link

__all__ = ["link"]
