"""Fits that were finished, kept in a folder, so that a run that was killed goes on."""
