"""Readers of raw files, one for each format, all with the same face."""
