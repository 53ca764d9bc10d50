"""What failed, said once more at the end of a run, and shown in the index of the study."""

import os
import time

from ecogpipe.study.looks import LOOKS
from ecogpipe.runtime.job import failed_recordings, read_failures

STARTED = time.time()


def tell_failures():
    """Repeat what failed and why, after all that was said meanwhile; `ecogpipe run` does so itself."""
    if "ECOGPIPE_RUN" not in os.environ:
        for sentence in read_failures(Path("logs"), STARTED):
            logger.error(sentence)


def tell_missing():
    """Fail a run with --until where files of recordings are missing, as it never comes to the rule that says so."""
    if MISSING and workflow.dag_settings.until:
        stop(" ".join(MISSING.values()))


def write_report():
    """Write the index of a study of which something failed, which the rule waits for; the next run writes it again."""
    from ecogpipe.steps import report as step

    page, failed = Path("results", "report.html"), failed_recordings(Path("logs"), STARTED)
    try:
        step.report(
            {name: page.parent / name for name in RECORDINGS},
            page,
            mirrors=list(config["mirrors"]),
            other_mirrors=OTHER_MIRRORS,
            title=step.TITLE,
            absent=MISSING,
            failed=failed,
            logs=Path("logs"),
            looks=LOOKS,
        )
    except EcogpipeError as error:
        logger.warning(f"The index of the study was not written: {error}")
        return
    # Older than everything, so that the rule makes it again once all it needs is there.
    os.utime(page, (0, 0))
