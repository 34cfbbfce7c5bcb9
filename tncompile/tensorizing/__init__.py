"""Weights and models that are trained already, onto networks: one room a step of the way."""
