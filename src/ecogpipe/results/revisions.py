"""What the revisions of the steps changed, in words: told before a study is made again."""

from collections.abc import Mapping

from ecogpipe.results.names import EXPORT, STEPS, STUDY_REVISIONS

REVISIONS: Mapping[str, int] = {step.name: step.revision for step in (*STEPS, EXPORT)} | STUDY_REVISIONS
"""The revision of each step, by its name."""

_IDENTITY = "results say of which recording they are"

CHANGES: Mapping[str, Mapping[int, str]] = {
    "ingest": {3: f"{_IDENTITY}, and what raw files say of their units, scales and start times is used or noted"},
    "scan": {
        3: _IDENTITY,
        4: "it holds numbers of each second, and the hash of the samples is made otherwise; the others stay the same",
    },
    "map_channels": {2: _IDENTITY},
    "mask_channels": {3: "an array of which most sites are bad is masked right, or its mask says that it cannot tell"},
    "extract_events": {3: "a single spike on a trigger line no longer hides its pulses"},
    "mirror": {5: f"{_IDENTITY}, and a pulse beside missing samples is kept"},
    "qc": {
        5: "the page shows the notes of the mask",
        6: "the numbers that the page shows are in a file beside it",
        7: "the page is drawn in the browser, of all sites and the whole recording",
        8: "the page shows every declared value, also of gain and pitch",
    },
    "report": {
        5: "the report shows the notes of the masks, and which recordings an older version read",
        6: "the report holds the pages as they are",
        7: "the report is an index of the study, with a row for every recording of the table",
        8: "the report shows every declared value, also of gain and pitch",
        9: "the report warns of mirrors that are too short for their filter",
    },
}
"""What a revision changed, in words that end a sentence, by step; earlier ones are not described."""


def changes_since(step: str, revision: int) -> str:
    """Say what changed in the outputs of a step after a revision, '' where nothing did.

    Examples
    --------
    >>> changes_since("map_channels", 1)
    'results say of which recording they are'
    >>> changes_since("map_channels", 2)
    ''
    """
    if revision >= REVISIONS[step]:
        return ""
    told = [text for number, text in sorted(CHANGES.get(step, {}).items()) if number > revision]
    return "; ".join(told) or f"{step} makes it otherwise now"
