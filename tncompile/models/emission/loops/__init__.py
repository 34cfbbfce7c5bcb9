"""Loops in the methods of a model: over turns of a `repeat`, over the steps of a `scan`."""
