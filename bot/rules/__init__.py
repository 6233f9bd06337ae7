"""Decides. No I/O and no clock of its own: the time is always an argument."""
