"""Loading for interactive use: recordings and mirrors opened with their map, mask and triggers."""

from ecogpipe.loader.active import ActiveLoader
from ecogpipe.loader.dataset import Dataset
from ecogpipe.loader.opening import open_recording
from ecogpipe.loader.session import Session, session_info

__all__ = ["ActiveLoader", "Dataset", "Session", "open_recording", "session_info"]
