"""What a model costs in its run-time sizes: predicted by running it on symbolic tensors."""
