"""What a block costs as polynomials in its parameters and run-time sizes."""
