"""Pages: numbers survive their coding, nothing in a page can act or reach a network, shipped scripts are known."""

import hashlib
import json
import re
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ecogpipe.errors import FormatError
from ecogpipe.figures.levels import to_levels
from ecogpipe.figures.page_content import colour_limits
from ecogpipe.figures.page_file import page_file, read_page_file
from ecogpipe.figures.page_numbers import page_numbers, read_page_numbers
from ecogpipe.steps.qc import page_of
from finished_study import finished_recording

HOSTILE = '</script><script>document.title="x"</script><img src=x onerror=alert(1)>&<!--'
WEB = files("ecogpipe.figures") / "web"


@given(
    hnp.arrays(
        np.float64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9), elements=st.floats(-1e9, 1e9)
    ),
    st.sampled_from([8, 16]),
)
def test_coded_numbers_are_within_half_a_step(values, bits):
    found = to_levels(values, bits).values()
    span = np.ptp(values, axis=1, keepdims=True) if values.size else np.zeros((len(values), 1))
    assert found.shape == values.shape
    assert np.all(np.abs(found - values) <= span / (2**bits - 2) * 0.51 + 1e-6)


def test_what_is_not_finite_is_nan_and_what_is_beyond_the_ends_gets_the_end():
    values = np.array([[np.nan, np.inf, -5.0, 0.5, 7.0], [np.nan] * 5])
    found = to_levels(values, ends=(0.0, 1.0)).values()
    np.testing.assert_allclose(found[0], [np.nan, np.nan, 0, 0.5, 1], atol=0.003)
    assert np.isnan(to_levels(values).values()[1]).all()


def test_a_faulty_site_that_is_trusted_does_not_hide_the_others():
    values = np.r_[np.linspace(10, 20, 99), 1e6]
    low, high = colour_limits(values, np.ones(100, bool))
    assert 10 <= low < high <= 20
    assert colour_limits(values, np.ones(100, bool), from_zero=True) == (0.0, high)


@pytest.mark.parametrize("values", [np.full(12, np.nan), np.zeros(12), np.full(12, -3.0)])
def test_arrays_of_nan_or_one_value_have_ends(values):
    for from_zero in (False, True):
        low, high = colour_limits(values, np.ones(12, bool), from_zero)
        assert np.isfinite([low, high]).all()
        assert low < high


def test_small_differences_look_small():
    low, high = colour_limits(np.linspace(50, 50.1, 12), np.ones(12, bool))
    assert high - low == pytest.approx(5, rel=0.01)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    done = finished_recording(tmp_path_factory.mktemp("study") / "test_001", seconds=3, notes=[HOSTILE])
    inputs = done.raw, done.channels, done.mask, done.scan, done.events, done.mirror
    content = page_of(*inputs, recording=f"s1/a/{HOSTILE}")
    return json.loads(page_numbers(content, {"versions": {"ecogpipe": "1"}}))


def test_a_page_gives_its_numbers_back(numbers, tmp_path):
    (tmp_path / "page.html").write_text(page_file(numbers), encoding="utf-8")
    assert read_page_file(tmp_path / "page.html") == numbers


def test_text_of_files_stays_text(numbers):
    text = page_file(numbers)
    assert HOSTILE not in text
    scripts = re.findall(r"<script[^>]*>", text.partition("<body>")[2])
    assert len(scripts) == 4  # two of numbers, the library, ours
    assert "<img" not in text


def test_a_page_asks_for_nothing(numbers):
    text = page_file(numbers)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert "default-src &#39;none&#39;" in policy or "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert "script-src 'unsafe-inline'" not in policy
    assert not re.search(r"<(link|iframe|object|embed|base|img)\b|<[^>]*\bsrc=|@import|url\(", text)


def test_a_page_that_is_cut_or_no_page_is_refused(numbers, tmp_path):
    path = tmp_path / "page.html"
    for text in (page_file(numbers)[:-9], "<html></html>\n", ""):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(FormatError, match="cannot be read as a quality page"):
            read_page_file(path)
    with pytest.raises(FormatError, match=r"none\.html"):
        read_page_file(tmp_path / "none.html")


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"title": 3}'])
def test_a_file_that_holds_no_page_is_refused(tmp_path, text):
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(FormatError, match="does not hold what a quality page shows"):
        read_page_numbers(tmp_path / "other.json")


def test_shipped_scripts_are_what_they_are_said_to_be():
    shipped = json.loads((WEB / "shipped.json").read_text())
    ours = {"common.css", "page.css", "index.css"}
    foreign = {file.name for file in WEB.iterdir() if file.name.endswith((".css", ".js")) and "." in file.name[:-4]}
    styles = {file.name for file in WEB.iterdir() if file.name.endswith(".css")} - ours
    assert shipped.keys() == foreign | styles
    for name, said in shipped.items():
        assert hashlib.sha256((WEB / name).read_bytes()).hexdigest() == said["sha256"]
        assert said["version"] in (WEB / name).read_text()[:200] or name.endswith(".css")
        assert {"package", "source", "licence"} <= said.keys()
        assert "Permission is hereby granted" in (WEB / said["licence_file"]).read_text()


def test_our_scripts_import_only_what_others_export_and_only_from_those_before():
    from ecogpipe.figures.page_file import _OUR_SCRIPTS

    for modules in _OUR_SCRIPTS.values():
        exported = {}
        for module in modules:
            text = (WEB / module).read_text()
            assert len(re.findall(r"^import", text, re.MULTILINE)) == len(
                re.findall(r"^import .* from .*;$", text, re.MULTILINE)
            )
            for names, source in re.findall(r'^import \{([^}]*)\} from "\./(.*)";$', text, re.MULTILINE):
                assert {name.strip() for name in names.split(",")} <= exported[source], (module, source)
            exported[module] = set(re.findall(r"^export (?:const|function) (\w+)", text, re.MULTILINE))
