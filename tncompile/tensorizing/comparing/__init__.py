"""Two models on the same data: distances with intervals, sizes, times, and whether they suffice."""
