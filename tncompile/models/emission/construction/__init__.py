"""`__init__` of the class of a model, and what its attributes do not give."""
