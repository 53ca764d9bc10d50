"""Recordings with a known truth, in every raw format: for the demo and the tests."""

from ecogpipe.synthetic.recording import Faults, SyntheticRecording

__all__ = ["Faults", "SyntheticRecording"]
