"""What results follow from besides files: a job whose causes are others now runs again, by what they say."""

from ecogpipe.checks.next_mask import find_mirrors_that_stay
from ecogpipe.study.config import uses_mask
from ecogpipe.study.manual_masks import rows_of_recording


def get_manual_rows(wildcards) -> list[dict]:
    mask = manual_mask_path(MASKS, wildcards.subject, wildcards.session)
    return rows_of_recording(mask, wildcards.recording) if mask.exists() else []


@ends_run_on_error
def get_manual_mask(wildcards) -> list[str]:
    """Return the manual mask of a session where it speaks of a recording; what it says counts, not its time."""
    mask = manual_mask_path(MASKS, wildcards.subject, wildcards.session)
    return [ancient(str(mask))] if get_manual_rows(wildcards) else []


@ends_run_on_error
def get_edges_rule(wildcards) -> dict:
    """Return what the edges of a recording follow from, besides its samples."""
    return {"settings": config["events"], "revision": REVISIONS["extract_events"], **get_lines(wildcards)}


@ends_run_on_error
def get_mirror_rates(wildcards) -> dict:
    """Return the rates of the mirrors of a recording, by whose samples its edges are counted too."""
    return {name: MIRROR_RATES[name] for name in get_mirrors(get_recording(wildcards))}


@ends_run_on_error
def get_mask_rule(wildcards) -> dict:
    """Return what the mask of a recording follows from, besides its samples: thresholds, and rows that are of it."""
    rows = get_manual_rows(wildcards)
    return config["masks"]["automatic"] | ({"rows": rows} if rows else {})


@cache
def get_mirrors_that_stay(name: str) -> frozenset[str]:
    return find_mirrors_that_stay(RECORDINGS[name], Path("results"), MASKS, config)


@ends_run_on_error
def get_mask_of_mirror(wildcards) -> str:
    """Return the mask of a recording, ancient where the mirror holds the same rows whatever becomes of the mask."""
    mask, mirror = "<results>/{subject}/{session}/{recording}/mask.tsv", wildcards.mirror
    if mirror not in config["mirrors"]:
        stop(f"The config has no mirror {mirror!r}. {nearest(mirror, config['mirrors'])}")
    depends = uses_mask(config["mirrors"][mirror]) and mirror not in get_mirrors_that_stay(get_name(wildcards))
    return mask if depends else ancient(mask)
