"""TDMS: what its segments say, where their samples are, and how they are read in one pass in bounded memory."""

from ecogpipe.formats.tdms.reader import read_tdms

__all__ = ["read_tdms"]
