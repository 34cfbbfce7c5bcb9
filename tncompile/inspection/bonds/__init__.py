"""What goes through the bonds of a trained network: singular values, entropies, gauges."""
