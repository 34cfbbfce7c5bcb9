"""Starts: factors from singular value decompositions, pencils and block diagonalizations."""
