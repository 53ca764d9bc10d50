"""Second-order sections over frames, compiled: the channels of a frame go side by side through each section.

Every product and sum is that of `scipy.signal.sosfilt`, in its order and rounded by itself. So results have the same
bits on every processor, and those of SciPy where it is compiled to round as often, as it is on x86-64.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ecogpipe.runtime.compiled import compiled

Array: TypeAlias = npt.NDArray[np.float64]

_SIGNATURE = "void(float64[:, ::1], float64[:, ::1], float64[:, :, ::1], boolean)"

_TILE_FRAMES = 256
"""Frames that go through all sections before the next ones: they stay near the core meanwhile."""


def _sosfilt_frames(frames: Array, sos: Array, state: Array, backwards: bool) -> None:
    n_frames, n_channels = frames.shape
    for tile in range(0, n_frames, _TILE_FRAMES):
        for section in range(len(sos)):
            b0, b1, b2, a1, a2 = sos[section, 0], sos[section, 1], sos[section, 2], sos[section, 4], sos[section, 5]
            z0, z1 = state[section, 0], state[section, 1]
            for t in range(tile, min(tile + _TILE_FRAMES, n_frames)):
                frame = frames[n_frames - 1 - t if backwards else t]
                for channel in range(n_channels):
                    x = frame[channel]
                    y = b0 * x + z0[channel]
                    z0[channel] = b1 * x - a1 * y + z1[channel]
                    z1[channel] = b2 * x - a2 * y
                    frame[channel] = y


sosfilt_frames = compiled(_SIGNATURE)(_sosfilt_frames)
"""Filter frames, (time, channels), in place: ``sosfilt_frames(frames, sos, state, backwards)``.

Parameters
----------
frames
    Contiguous; from the last one to the first where `backwards`.
sos
    Second-order sections, (sections, 6).
state
    (sections, 2, channels); it is carried on from call to call.
backwards
    The direction of time.
"""
