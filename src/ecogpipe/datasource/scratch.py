"""Signals on the scratch disk: blocks in an unlinked temporary file, and names for other files."""

import errno
import os
import socket
import tempfile
import uuid
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from ecogpipe.errors import OutputError
from ecogpipe.runtime.params import load_params, scratch_setting
from ecogpipe.storage.atomic import remove_leftovers


def scratch_path(suffix: str) -> Path:
    """Return a new path in the scratch folder; what killed processes have left there is removed first."""
    folder, host = load_params().scratch_dir, socket.gethostname()
    remove_leftovers(folder, f"ecogpipe.*.{host}.*{suffix}")
    return folder / f"ecogpipe.{uuid.uuid4().hex}.{host}.{os.getpid()}{suffix}"


class ScratchFrames:
    """Float64 signals, frame after frame: blocks are added at the end, any stretch can be read and replaced.

    Blocks are (channels, time), all of the same channels.
    """

    def __init__(self) -> None:
        self._folder = load_params().scratch_dir
        self._n_channels, self._n_frames = 0, 0

    def __len__(self) -> int:
        return self._n_frames

    @property
    def n_bytes(self) -> int:
        """Bytes of all frames."""
        return self._place(self._n_frames)

    def append(self, block: npt.NDArray[np.float64]) -> None:
        """Add a block after the last frame."""
        self._n_channels = len(block)
        self.replace(self._n_frames, block)
        self._n_frames += block.shape[1]

    def read(self, start: int, stop: int) -> npt.NDArray[np.float64]:
        """Read frames [start, stop)."""
        frames = np.empty((stop - start, self._n_channels))
        left = frames.data.cast("B") if frames.size else memoryview(b"")
        place = self._place(start)
        while left:
            n_read = os.preadv(self._file.fileno(), [left], place)
            if not n_read:
                raise OutputError(
                    f"{self._folder}: gave back {place} of {self._place(stop)} bytes that were kept there; another "
                    "program cut the scratch file, or its disk fails: run again, on another disk (scratch_dir)."
                )
            left, place = left[n_read:], place + n_read
        return frames.T

    def replace(self, start: int, block: npt.NDArray[np.float64]) -> None:
        """Replace the frames from `start` on by those of a block."""
        left = np.ascontiguousarray(block.T).data.cast("B") if block.size else memoryview(b"")
        place = self._place(start)
        try:
            while left:
                written = os.pwrite(self._file.fileno(), left, place)
                left, place = left[written:], place + written
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise OutputError(
                f"{self._folder}: the scratch folder is full; make room, or set {scratch_setting()} to a larger disk."
            ) from error

    @cached_property
    def _file(self) -> FileIO:
        """Made when it is needed: a recording with many gaps has as many stores, few of them in use."""
        try:
            return tempfile.TemporaryFile(dir=self._folder, buffering=0)
        except OSError as error:
            raise OutputError(
                f"{self._folder}: cannot be used as scratch folder ({error.strerror}); set {scratch_setting()} to one "
                "that can."
            ) from error

    def _place(self, frame: int) -> int:
        return frame * self._n_channels * np.dtype(np.float64).itemsize

    def close(self) -> None:
        """Give the space back."""
        if "_file" in self.__dict__:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
