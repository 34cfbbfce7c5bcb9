"""Models to PyTorch source."""
