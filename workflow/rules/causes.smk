"""What results follow from besides files: a job whose causes are others now runs again, by what they say."""

from ecogpipe.checks.next_mask import find_mirrors_of_next_mask
from ecogpipe.study.config import uses_mask
from ecogpipe.study.manual_masks import rows_of_recording


def get_manual_rows(wildcards) -> list[dict]:
    mask = manual_mask_path(MASKS, wildcards.subject, wildcards.session)
    return rows_of_recording(mask, wildcards.recording) if mask.exists() else []


@signed
def get_manual_mask(wildcards) -> list[str]:
    """Return the manual mask of a session where it speaks of a recording; what it says counts, not its time."""
    mask = manual_mask_path(MASKS, wildcards.subject, wildcards.session)
    return [ancient(str(mask))] if get_manual_rows(wildcards) else []


@signed
def get_edges_rule(wildcards) -> dict:
    """Return what the edges of a recording follow from, besides its samples."""
    return {"settings": config["events"], "revision": REVISIONS["extract_events"], **get_lines(wildcards)}


@signed
def get_mirror_rates(wildcards) -> dict:
    """Return the rates of the mirrors of a recording, by whose samples its edges are counted too."""
    return {name: MIRROR_RATES[name] for name in get_mirrors(get_recording(wildcards))}


@signed
def get_mask_rule(wildcards) -> dict:
    """Return what the mask of a recording follows from, besides its samples: thresholds, and rows that are of it."""
    rows = get_manual_rows(wildcards)
    return config["masks"]["automatic"] | ({"rows": rows} if rows else {})


@cache
def get_mirrors_of_next_mask(name: str) -> frozenset[str]:
    return find_mirrors_of_next_mask(RECORDINGS[name], Path("results"), MASKS, config)


@signed
def get_mask_of_mirror(wildcards) -> str:
    """Return the mask of a recording; a mirror is made again only where other rows than its own are masked in it."""
    mask, mirror = "<results>/{subject}/{session}/{recording}/mask.tsv", wildcards.mirror
    depends = uses_mask(config["mirrors"][mirror]) and mirror not in get_mirrors_of_next_mask(get_name(wildcards))
    return mask if depends else ancient(mask)
