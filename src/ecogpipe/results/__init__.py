"""The files of a study: one module owns the name, the type, the writing and the reading of each."""
