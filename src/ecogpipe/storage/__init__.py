"""Bytes on the disk, below every source: whole files, digests, tables, the canonical HDF5."""
