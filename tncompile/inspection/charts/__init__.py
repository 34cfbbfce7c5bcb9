"""Charts: data, what stands where (a plot), and its SVG."""
