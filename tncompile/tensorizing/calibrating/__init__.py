"""Second moments of a model's layers: one forward and one backward pass a batch, no labels."""
