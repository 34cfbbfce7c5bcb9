"""Contractions as trees: leaves below, a rung for each step, what it takes beside it."""
