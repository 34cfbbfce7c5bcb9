"""What is fitted: networks as products of factors, the weight, all factors but one contracted."""
