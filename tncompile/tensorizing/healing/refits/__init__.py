"""Layers fitted anew: passes that stop at a layer, sums over its rows, ridge regression."""
