"""Where the model to tensorize comes from: a folder of transformers, and what goes with it."""
