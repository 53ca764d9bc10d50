"""What a run tells before it begins: what is odd about the table, what is made again, and what may be removed."""

import atexit
import re

from ecogpipe.checks.known_acquisition import find_acquisitions
from ecogpipe.checks.impossible_mirrors import find_impossible_mirrors
from ecogpipe.checks.reruns import describe, find_kept, find_old_pages, find_reruns
from ecogpipe.checks.unfit_channels import find_unfit_channels
from ecogpipe.study.originals import find_copies_alone
from ecogpipe.study.recordings import find_shared

# Asked of the words on the command line: Snakemake knows it later. A run proper meets such a recording in its job.
IS_DRY_RUN = any(re.fullmatch(r"-[a-z]*n[a-z]*|--dry-?run", word) for word in sys.argv)


def find_impossible() -> list[str]:
    """Return a sentence for all that headers tell to be impossible, and for each recording whose files are missing."""
    known, refused = find_acquisitions(PRESENT, Path("results"))
    unfit = find_unfit_channels(known, WIRINGS if WIRING_TABLES else None)
    return [*MISSING.values(), *refused, *unfit, *find_impossible_mirrors(known, config["mirrors"])]


if workflow.is_main_process:
    kept, twice = find_kept(PRESENT, Path("results")), find_shared(RECORDINGS.values(), config["recordings"])
    for sentence in [*twice, *OF_THE_FUTURE.values(), *kept.values()]:
        logger.warning(sentence)
    if alone := find_copies_alone(PRESENT):
        logger.info(f"The copies in raw.h5 are used, as files are gone: {', '.join(alone)}.", extra={"is_told": True})
    if old_pages := find_old_pages(PRESENT, Path("results"), config["mirrors"]):
        logger.info(
            f"Pictures of an older version may be removed, as pages took their place: {old_pages[0]}"
            + (f" and {len(old_pages) - 1} others, *_qc.png." if len(old_pages) > 1 else "."),
            extra={"is_told": True},
        )
    for line in describe(find_reruns(PRESENT, Path("results"), MASKS, config)):
        logger.info(line, extra={"is_told": True})
    if IS_DRY_RUN and (impossible := find_impossible()):
        # As the last lines, below all that Snakemake lists.
        atexit.register(sys.stderr.writelines, [f"{sentence}\n" for sentence in impossible])
