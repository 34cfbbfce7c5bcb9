"""Models: what their parts take and give, and the kinds and shapes of their values."""
