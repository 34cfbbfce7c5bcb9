"""Models: a resolved model to the source of a module, its costs and its plans."""
