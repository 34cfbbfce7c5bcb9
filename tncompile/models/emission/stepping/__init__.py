"""`step` of a model: `forward` of the next entries along a causal size, from what came before."""
