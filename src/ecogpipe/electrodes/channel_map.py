"""The channel map: on which site of the electrode array each channel sits."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from ecogpipe.electrodes.grid import Pitch, as_index, check_geometry, check_pitch
from ecogpipe.errors import EcogpipeError, MaskError, WiringError

if TYPE_CHECKING:
    import probeinterface
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LABELLED_UP_TO = 400
"""Sites; the pictures of larger arrays have no room for a number on each site."""

_LABEL_BOX = {"boxstyle": "round,pad=0.15", "facecolor": "w", "edgecolor": "none", "alpha": 0.7}
"""Behind the numbers, so that they can be read on every colour."""


class ChannelMap(Sequence[int]):
    """A sequence of flat site indices, one per channel; it does not change once it is made.

    Parameters
    ----------
    sites : iterable of int
        Flat index of the site of each channel: ``row * columns + column``, or ``column * rows + row`` where
        `col_major`. Not every site needs a channel; no site has two.
    geometry : (int, int)
        Rows and columns of the array.
    col_major : bool
        How the flat indices are counted. It has no effect on `rlookup`, `to_mat`, `embed` or `image`.
    pitch : float, (float, float) or None
        Distance between sites in mm, one number or (dy between rows, dx between columns); None where not known.
    pads_up : bool
        Draw the array as seen from its other face, mirrored left to right. It changes pictures only: rows and
        columns keep their numbers, and no channel moves (for that there is `flip`).

    Raises
    ------
    WiringError
        If a site is off the grid or has two channels, or the geometry or the pitch makes no sense.

    Examples
    --------
    >>> chan_map = ChannelMap([3, 0, 1], (2, 2))
    >>> chan_map.rlookup(0)
    (1, 1)
    >>> chan_map.lookup(0, 1)
    2
    >>> list(chan_map.subset([True, False, True]))
    [3, 1]
    """

    def __init__(
        self,
        sites: Iterable[int],
        geometry: Sequence[int],
        col_major: bool = False,
        pitch: float | Sequence[float] | None = 1.0,
        pads_up: bool = False,
    ) -> None:
        self._geometry = check_geometry(geometry)
        self._sites = tuple(as_index(site, "site") for site in sites)
        self._col_major = bool(col_major)
        self._pitch = check_pitch(pitch)
        self._pads_up = bool(pads_up)
        self._check_sites()

    @property
    def geometry(self) -> tuple[int, int]:
        """Rows and columns of the array."""
        return self._geometry

    @property
    def col_major(self) -> bool:
        """Whether the flat indices run down the columns."""
        return self._col_major

    @property
    def pitch(self) -> Pitch | None:
        """Distance between sites in mm, (dy between rows, dx between columns), or None where not known."""
        return self._pitch

    @property
    def pads_up(self) -> bool:
        """Whether pictures show the array from its other face, mirrored left to right."""
        return self._pads_up

    def __len__(self) -> int:
        return len(self._sites)

    @overload
    def __getitem__(self, key: int) -> int: ...
    @overload
    def __getitem__(self, key: slice) -> "ChannelMap": ...
    def __getitem__(self, key: int | slice) -> "int | ChannelMap":
        return self._with_sites(self._sites[key]) if isinstance(key, slice) else self._sites[key]

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, ChannelMap) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        rows, columns = self._geometry
        return f"<ChannelMap: {len(self)} channels on {rows} x {columns} sites, pitch {self._pitch} mm>"

    def to_mat(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Return the row and the column of each channel: two arrays of len(self) ints."""
        sites = np.array(self._sites, dtype=np.intp)
        n_rows, n_columns = self._geometry
        if self._col_major:
            return sites % n_rows, sites // n_rows
        return sites // n_columns, sites % n_columns

    def lookup(self, i: int, j: int) -> int:
        """Return the channel on row `i`, column `j`.

        Raises
        ------
        WiringError
            If there is no such site, or no channel on it.
        """
        rows, columns = self._geometry
        if not (0 <= i < rows and 0 <= j < columns):
            raise WiringError(f"Site ({i}, {j}) is off the grid of {rows} rows and {columns} columns, counted from 0.")
        try:
            return self._sites.index(int(self._flat(i, j)))
        except ValueError:
            raise WiringError(f"Site ({i}, {j}) has no channel in this map of {len(self)} channels.") from None

    def rlookup(self, c: int) -> tuple[int, int]:
        """Return the row and the column of channel `c`.

        Raises
        ------
        WiringError
            If the map has no such channel.
        """
        if not -len(self) <= c < len(self):
            raise WiringError(f"Channel {c} is not in this map of {len(self)} channels, counted from 0.")
        rows, columns = self.to_mat()
        return int(rows[c]), int(columns[c])

    def subset(self, selection: "npt.ArrayLike | ChannelMap") -> "ChannelMap":
        """Return the map of some of the channels, on the same grid.

        Parameters
        ----------
        selection
            A mask (one bool per channel, True where it is kept), a list of channel indices (in the order wanted), a
            grid (one bool per site), or another map of the same geometry, all of whose sites have a channel here.

        Raises
        ------
        MaskError
            If the selection fits neither the channels nor the grid.
        """
        return self._with_sites(self._sites[channel] for channel in self._selected(selection))

    def embed(self, data: npt.ArrayLike, axis: int = 0, fill: complex = np.nan) -> npt.NDArray[Any]:
        """Put one value per channel on the grid.

        Parameters
        ----------
        data : array
            Its `axis` has one element per channel.
        axis : int
            That axis; two axes (rows, columns) take its place.
        fill : number
            The value of sites without a channel. Integers become floats where it is NaN.
        """
        values = np.asarray(data)
        if values.ndim == 0 or values.shape[axis] != len(self):
            raise WiringError(f"Data of shape {values.shape} do not have {len(self)} channels on axis {axis}.")
        axis %= values.ndim
        by_channel = np.moveaxis(values, axis, 0)
        grid = np.full(self._geometry + by_channel.shape[1:], fill, dtype=np.result_type(values.dtype, fill))
        grid[self.to_mat()] = by_channel
        return np.moveaxis(grid, (0, 1), (axis, axis + 1))

    def as_channels(self, grid: npt.ArrayLike, axis: int = 0) -> npt.NDArray[Any]:
        """Take one value per channel from a grid: the inverse of `embed`.

        Parameters
        ----------
        grid : array
            Its axes `axis` and ``axis + 1`` are the rows and the columns of the array.
        axis : int
            Axis of the result that has one element per channel.
        """
        values = np.asarray(grid)
        axis = axis % (values.ndim - 1) if values.ndim > 1 else 0
        if values.shape[axis : axis + 2] != self._geometry:
            raise WiringError(f"A grid of shape {values.shape} does not have the array's {self._geometry} sites.")
        by_site = np.moveaxis(values, (axis, axis + 1), (0, 1))
        return np.moveaxis(by_site[self.to_mat()], 0, axis)

    def flip(self, *, rows: bool = False, columns: bool = False) -> "ChannelMap":
        """Return a map whose channels sit on the sites mirrored top to bottom (`rows`), left to right (`columns`)."""
        i, j = self.to_mat()
        n_rows, n_columns = self._geometry
        i, j = (n_rows - 1 - i if rows else i), (n_columns - 1 - j if columns else j)
        return self._with_sites(self._flat(i, j).tolist())

    def image(
        self, values: npt.ArrayLike | None = None, ax: "Axes | None" = None, label: str = "", **imshow: Any
    ) -> "Figure":
        """Draw the array, row 0 on top, with one colour per site; sites without a channel stay grey.

        Parameters
        ----------
        values : array, optional
            One number per channel; without it, the channels' own numbers, written on the sites.
        ax : matplotlib Axes, optional
            Where to draw; without it, on a new figure.
        label : str
            What the colours mean, with its unit.
        **imshow
            Passed on to `matplotlib.axes.Axes.imshow`: `cmap`, `vmin`, `vmax`...

        Returns
        -------
        matplotlib.figure.Figure
        """
        from matplotlib.figure import Figure

        if ax is None:
            ax = Figure(figsize=(6, 5), layout="compressed").subplots()
        shown = np.arange(len(self)) if values is None else np.asarray(values)
        aspect = self._pitch[0] / self._pitch[1] if self._pitch else 1.0
        picture = ax.imshow(self.embed(shown.astype(float)), aspect=aspect, interpolation="nearest", **imshow)
        ax.set(xlabel="column", ylabel="row", facecolor="0.85")
        if self._pads_up:
            ax.invert_xaxis()
        if values is None and len(self) <= _LABELLED_UP_TO:
            self._write_channels(ax)
        figure = ax.get_figure(root=True)
        assert figure is not None, "an Axes belongs to a figure until it is removed from it"
        figure.colorbar(picture, ax=ax, label=label or ("channel" if values is None else ""))
        return figure

    def to_probe(self, channels: npt.ArrayLike | None = None) -> "probeinterface.Probe":
        """Return the array as a probe of the package probeinterface, which SpikeInterface and others read.

        Parameters
        ----------
        channels : array of int, optional
            The device channel of each channel of the map, e.g. the `electrode_channels` of the recording; without it,
            the channel's own number.

        Returns
        -------
        probeinterface.Probe
            One contact per channel, at (column * dx, row * dy) micrometres; its id is "row,column". The circles that
            stand for contacts are a quarter of the pitch wide and mean nothing, nor does the outline around them.

        Raises
        ------
        WiringError
            If the pitch is not known, or `channels` is not as long as the map.
        EcogpipeError
            If probeinterface is not installed.
        """
        device_channels = np.arange(len(self)) if channels is None else np.asarray(channels)
        if self._pitch is None:
            raise WiringError("The pitch of this map is not known, so its sites have no place in micrometres; give it.")
        if device_channels.shape != (len(self),):
            raise WiringError(f"Channels of shape {device_channels.shape} do not fit a map of {len(self)} channels.")
        try:
            from probeinterface import Probe
        except ImportError:
            raise EcogpipeError(
                "A probe takes the package probeinterface, which is not installed; `pip install probeinterface`."
            ) from None
        rows, columns = self.to_mat()
        dy, dx = (1000 * distance for distance in self._pitch)
        probe = Probe(ndim=2, si_units="um")
        places = np.stack([columns * dx, rows * dy], axis=1)
        probe.set_contacts(places, shapes="circle", shape_params={"radius": min(dx, dy) / 8})
        probe.create_auto_shape("rect", margin=min(dx, dy) / 2)
        # Of every probe the schema of probeinterface wants both.
        n_rows, n_columns = self.geometry
        probe.annotate(model_name=f"active array of {n_rows} x {n_columns} sites", manufacturer="not known")
        probe.set_contact_ids([f"{row},{column}" for row, column in zip(rows, columns, strict=True)])
        probe.set_device_channel_indices(device_channels)
        return probe

    def _write_channels(self, ax: "Axes") -> None:
        for channel, (i, j) in enumerate(zip(*self.to_mat(), strict=True)):
            ax.text(int(j), int(i), str(channel), ha="center", va="center", size=6, bbox=_LABEL_BOX)

    def _selected(self, selection: "npt.ArrayLike | ChannelMap") -> list[int]:
        if isinstance(selection, ChannelMap):
            self._check_same_geometry(selection)
            wanted = set(zip(*(axis.tolist() for axis in selection.to_mat()), strict=True))
            sites = list(zip(*(axis.tolist() for axis in self.to_mat()), strict=True))
            if outside := sorted(wanted - set(sites)):
                raise MaskError(
                    f"The selection has {len(outside)} sites without a channel in this map, as {outside[0]}; take them "
                    "out of it."
                )
            return [channel for channel, site in enumerate(sites) if site in wanted]
        chosen = np.asarray(selection)
        if chosen.dtype == np.bool_ and chosen.shape == self._geometry:
            chosen = self.as_channels(chosen)
        if chosen.dtype == np.bool_ and chosen.shape == (len(self),):
            return np.flatnonzero(chosen).tolist()
        if chosen.ndim == 1 and (chosen.dtype.kind in "iu" or not chosen.size) and chosen.dtype != np.bool_:
            self._check_indices(chosen)
            return [int(channel) for channel in chosen]
        raise MaskError(
            f"A selection of shape {chosen.shape} and type {chosen.dtype} does not fit {len(self)} channels on "
            f"{self._geometry} sites; give one bool per channel, one bool per site, or a list of channel indices."
        )

    def _check_indices(self, chosen: npt.NDArray[Any]) -> None:
        outside = chosen[(chosen < -len(self)) | (chosen >= len(self))]
        if outside.size:
            raise MaskError(f"Channel {outside[0]} is not in this map of {len(self)} channels, counted from 0.")

    def _check_same_geometry(self, other: "ChannelMap") -> None:
        if other.geometry != self._geometry:
            raise MaskError(f"A map on {other.geometry} sites cannot select from a map on {self._geometry} sites.")

    def _check_sites(self) -> None:
        n_rows, n_columns = self._geometry
        seen: dict[int, int] = {}
        for channel, site in enumerate(self._sites):
            if not 0 <= site < n_rows * n_columns:
                raise WiringError(
                    f"Channel {channel} is on site {site}, but {n_rows} x {n_columns} sites are numbered "
                    f"0 to {n_rows * n_columns - 1}."
                )
            if site in seen:
                raise WiringError(f"Channels {seen[site]} and {channel} are both on site {site}; a site has one.")
            seen[site] = channel

    def _flat(self, i: Any, j: Any) -> Any:
        n_rows, n_columns = self._geometry
        return j * n_rows + i if self._col_major else i * n_columns + j

    def _with_sites(self, sites: Iterable[int]) -> "ChannelMap":
        return ChannelMap(sites, self._geometry, self._col_major, self._pitch, self._pads_up)

    def _key(self) -> tuple[Any, ...]:
        return self._sites, self._geometry, self._col_major, self._pitch, self._pads_up
