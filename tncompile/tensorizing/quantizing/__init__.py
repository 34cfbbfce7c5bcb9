"""Weights as integers times scales: of a state dict, of a model."""
