"""What failed, said once more at the end of a run."""

import os
import time

from ecogpipe.runtime.job import read_failures

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
