"""Looks at a study before and after a run."""
