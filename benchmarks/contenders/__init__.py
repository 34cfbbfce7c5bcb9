"""Who else can compute a map: a dense layer, einsum libraries, and layers of other projects.

Each is imported only where it runs; one that is not installed raises `UnavailableError`.
"""
