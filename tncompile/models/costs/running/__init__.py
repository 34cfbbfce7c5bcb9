"""A model run on symbolic tensors: its operations in order, its parts once each, and back."""
