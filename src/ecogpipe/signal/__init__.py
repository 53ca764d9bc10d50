"""Signal maths on arrays: no files, no wiring."""
