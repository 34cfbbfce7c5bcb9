"""How large each layer of a model becomes: one threshold for all of them."""
