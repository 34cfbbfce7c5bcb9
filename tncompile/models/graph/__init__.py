"""What the graph of a model says: what is constant, a number, or computed ahead by a cell."""
