"""Sources: array-like electrode signals, (channels, time), in memory or mapped onto HDF5 files."""
