"""Lines of a rewrite and the layers of a model to the network that replaces each layer."""
