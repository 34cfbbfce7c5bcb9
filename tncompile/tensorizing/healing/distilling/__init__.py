"""Training: losses, steps, checkpoints, the loop."""
