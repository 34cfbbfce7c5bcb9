"""Whole models: layers replaced in a copy, what was lost reported, folders written and read."""
