"""What makes a start better: alternating least squares, then LBFGS."""
