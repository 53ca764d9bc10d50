"""The step that writes the quality page of a recording and one of its mirrors."""

import json
from pathlib import Path

import numpy as np

from ecogpipe.electrodes.channels import ChannelTable
from ecogpipe.errors import FormatError
from ecogpipe.figures.page import Page
from ecogpipe.figures.page_content import page_content
from ecogpipe.figures.page_file import page_file
from ecogpipe.figures.page_inputs import PageInputs, line_frequencies, line_name
from ecogpipe.figures.page_numbers import page_numbers
from ecogpipe.figures.wording import read_mirror_facts
from ecogpipe.results.channels import read_channels
from ecogpipe.results.events import read_events
from ecogpipe.results.identity import KEY, check_same_signal
from ecogpipe.results.mask import MaskTable, read_mask
from ecogpipe.results.names import NUMBERS_SUFFIX
from ecogpipe.results.provenance import provenance
from ecogpipe.results.recording import open_raw
from ecogpipe.results.scan import read_scan, read_windows
from ecogpipe.runtime.moved import takes_old_names
from ecogpipe.storage.atomic import whole_file


@takes_old_names(title="recording")
def qc(
    raw: Path, channels: Path, mask: Path, scan: Path, events: Path, mirror: Path, page: Path, *, recording: str
) -> Path:
    """Write what a person looks at to judge a recording and one of its mirrors.

    RMS of every site on the array, raw and mirrored, line noise, correlation with the neighbours, and the mask with its
    reasons; what is raw of these is what the mask goes by. The whole recording over time; the spectrum of the sites
    before and after; traces before and after, with trigger edges and with the settling of the filter; the response to
    triggers; triggers over the whole recording; settings, counts and notes.

    Parameters
    ----------
    raw, channels, mask, scan, events, mirror : Path
        What the steps of these names wrote for the recording.
    page : Path
        The HTML file to write; a browser draws it, without network or other files. All that it shows is written beside
        it too, as JSON of the same name.
    recording : str
        Full name of the recording.

    Returns
    -------
    Path
        `page`.

    Raises
    ------
    FormatError
        If an input is not what it should be.
    IdentityError
        If the inputs are not of one recording.
    """
    content = page_of(raw, channels, mask, scan, events, mirror, recording=recording)
    inputs = [raw, channels, mask, scan, events, mirror]
    made_by = provenance("qc", inputs, {"recording": recording}, page.parent)
    made_by[KEY] = check_same_signal(*inputs).as_json()
    numbers = page_numbers(content, made_by)
    with whole_file(page.with_suffix(NUMBERS_SUFFIX)) as part:
        part.write_text(numbers, encoding="utf-8")
    with whole_file(page) as part:
        part.write_text(page_file(json.loads(numbers)), encoding="utf-8")
    return page


def page_of(raw: Path, channels: Path, mask: Path, scan: Path, events: Path, mirror: Path, *, recording: str) -> Page:
    """Return what `qc` writes of these files; it does not depend on the memory limit."""
    table, masked = read_channels(channels), read_mask(mask)
    _check_mask(masked, mask, table, channels)
    found, scanned, facts = (
        read_events(events),
        read_scan(scan, ("n_nonfinite",), others=False),
        read_mirror_facts(mirror),
    )
    windows = read_windows(scan, table.electrode_channels)
    with open_raw(raw) as acquired, open_raw(mirror) as made:
        return page_content(PageInputs(table, masked, found, scanned, windows, facts, acquired, made), recording)


def _check_mask(masked: MaskTable, mask: Path, table: ChannelTable, channels: Path) -> None:
    if not np.array_equal(masked.channel, table.electrode_channels):
        raise FormatError(f"{mask}: is not the mask of {channels}; run mask_channels again.")
    needed = {"std", "neighbour_correlation", *map(line_name, line_frequencies(masked))}
    if missing := needed - masked.numbers.keys():
        raise FormatError(f"{mask}: lacks the column {min(missing)}; run mask_channels again.")
