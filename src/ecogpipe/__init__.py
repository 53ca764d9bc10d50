"""From raw recordings of active electrode arrays to mapped, masked, mirrored and filtered HDF5."""
