"""Signals on the scratch disk: blocks in a file without a name, gone when the process is, and names for other files."""

import errno
import os
import socket
import tempfile
import uuid
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from ecogpipe.errors import OutputError
from ecogpipe.outputs import remove_leftovers
from ecogpipe.params import load_params


def scratch_path(suffix: str) -> Path:
    """Return a new path in the scratch folder; what killed processes have left there is removed first."""
    folder, host = load_params().scratch_dir, socket.gethostname()
    remove_leftovers(folder, f"ecogpipe.*.{host}.*{suffix}")
    return folder / f"ecogpipe.{uuid.uuid4().hex}.{host}.{os.getpid()}{suffix}"


class ScratchBlocks:
    """Float64 blocks of (channels, time) in a row; each can be read and replaced."""

    def __init__(self) -> None:
        self._folder = load_params().scratch_dir
        try:
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115  # closed by `close`
        except OSError as error:
            raise OutputError(
                f"{self._folder}: cannot be used as scratch folder ({error.strerror}); set scratch_dir or TMPDIR "
                "to one that can."
            ) from error
        self._offsets = [0]
        self._shapes: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._shapes)

    def append(self, block: npt.NDArray[np.float64]) -> None:
        """Add a block after the last one."""
        self._shapes.append((block.shape[0], block.shape[1]))
        self._offsets.append(self._offsets[-1] + block.nbytes)
        self._write(block, self._offsets[-2])

    def read(self, number: int) -> npt.NDArray[np.float64]:
        """Read a block."""
        frames = np.empty(self._shapes[number][::-1])
        os.preadv(self._file.fileno(), [frames.data.cast("B")] if frames.size else [], self._offsets[number])
        return frames.T

    def replace(self, number: int, block: npt.NDArray[np.float64]) -> None:
        """Replace a block by another of its shape."""
        self._write(block, self._offsets[number])

    def first_sample(self, number: int) -> int:
        """Sample at which a block begins."""
        return sum(length for _, length in self._shapes[:number])

    def close(self) -> None:
        """Give the space back."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, block: npt.NDArray[np.float64], offset: int) -> None:
        left = np.ascontiguousarray(block.T).data.cast("B") if block.size else memoryview(b"")
        try:
            while left:
                written = os.pwrite(self._file.fileno(), left, offset)
                left, offset = left[written:], offset + written
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise OutputError(
                f"{self._folder}: the scratch folder is full; make room, or set scratch_dir or TMPDIR to a larger disk."
            ) from error
