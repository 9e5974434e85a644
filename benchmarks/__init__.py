"""Measurements, always against a baseline in the same run: the machine's own speed falls out of a ratio."""
