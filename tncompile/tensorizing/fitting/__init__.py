"""A weight onto any network: starts, sweeps, polish, the metric, ranks for a budget."""
