"""Drawings: what stands where (a scene), and its SVG."""
