"""Readers of acquisition files, one per format, all with the same face."""
