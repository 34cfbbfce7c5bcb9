"""A model to a scene: its parts as blocks, the shapes of values between them."""
