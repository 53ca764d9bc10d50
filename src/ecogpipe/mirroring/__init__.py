"""The engine of the mirror, apart from the step."""
