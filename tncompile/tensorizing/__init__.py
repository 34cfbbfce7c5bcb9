"""Weights that are there, onto networks: `fit` and what it is made of."""
