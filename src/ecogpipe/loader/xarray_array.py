"""A recording, or a mirror of one, as xarray has arrays."""

import dask.array
import numpy as np
import xarray

from ecogpipe.loader.dataset import Dataset

_CHUNK_BYTES = 16_000_000


def to_xarray(dataset: Dataset) -> xarray.DataArray:
    """Return the active channels, (channel, time), in microvolts, read by dask when they are asked for."""
    data = dataset.data
    length = max(1, _CHUNK_BYTES // max(1, len(data) * data.dtype.itemsize))
    rows, columns = dataset.chan_map.to_mat()
    # Its readers go side by side; dask need not let them take turns.
    samples = dask.array.from_array(data, chunks=(len(data), length), asarray=False, fancy=True, lock=False)
    return xarray.DataArray(
        samples,
        dims=("channel", "time"),
        coords={
            "channel": dataset.site_names,
            "row": ("channel", rows),
            "column": ("channel", columns),
            "good": ("channel", dataset.active_mask),
            "time": np.arange(data.n_samples) / dataset.Fs,
        },
        name="microvolts",
        attrs={"units": "uV", "sampling_rate": dataset.Fs},
    )
