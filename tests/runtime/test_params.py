import pytest

from ecogpipe.errors import SettingsError
from ecogpipe.runtime.params import OVERRIDE, load_params, override, scratch_setting


def test_an_override_holds_inside_its_block_only():
    before = load_params()
    with override(memory_limit=1e5, workers=3) as params:
        assert (params.memory_limit, params.workers) == (100_000, 3)
        assert load_params() == params
    assert load_params() == before


def test_an_override_holds_until_it_is_taken_back():
    OVERRIDE["memory_limit"] = 1e5
    try:
        assert load_params().memory_limit == 100_000
    finally:
        del OVERRIDE["memory_limit"]
    assert load_params().memory_limit == 2_000_000_000


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"memory_limt": 1}, "Did you mean 'memory_limit'"),
        ({"memory_limit": 0}, "positive number of bytes"),
        ({"floating_point": "half"}, "'single' or 'double'"),
        ({"workers": 0}, "at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, sentence):
    with pytest.raises(SettingsError, match=sentence), override(**settings):
        pass


@pytest.mark.parametrize(
    "change",
    [
        lambda: OVERRIDE.update(memory_limt=1),
        lambda: OVERRIDE.update({"workers": 2, "memory_limt": 1}),
        lambda: OVERRIDE.setdefault("memory_limt", 1),
        lambda: OVERRIDE.__ior__({"memory_limt": 1}),
    ],
)
def test_a_slip_is_refused_however_it_is_set_and_nothing_is_set_then(change):
    with pytest.raises(SettingsError, match="Did you mean 'memory_limit'"):
        change()
    assert OVERRIDE == {}


@pytest.mark.parametrize("settings", [{"memory_limit": "much"}, {"workers": None}, {"memory_limit": float("inf")}])
def test_what_cannot_be_a_setting_is_refused_at_once(settings):
    with pytest.raises(SettingsError, match="which cannot be"), override(**settings):
        pass
    assert OVERRIDE == {}


def test_the_advice_on_the_scratch_folder_names_what_decides(monkeypatch):
    monkeypatch.delenv("SLURM_TMPDIR", raising=False)
    assert scratch_setting() == "scratch_dir or TMPDIR"
    monkeypatch.setenv("SLURM_TMPDIR", "/local")
    assert scratch_setting() == "scratch_dir or SLURM_TMPDIR"
