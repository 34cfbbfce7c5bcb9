"""A tensor network to a scene: what is drawn, what is folded, where it stands."""
