"""What a file is is told by its first bytes; what is declared is checked before anything is read."""

import pytest

from ecogpipe.errors import FormatError, SettingsError
from ecogpipe.formats.acquisition import storable
from ecogpipe.formats.reading import read_header


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty, so it is not a"),
        (b"time\tvalue\n1\t2\n", r"begins with b'time\\tval', so it is not a"),
        (b"TDSm", "is not a recording"),
        (b"TDSh" + bytes(60), "is the index of a TDMS file"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM", "Matlab file|holds no array"),
        (b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM", "so it is not a"),
    ],
)
def test_what_is_no_acquisition_file_is_refused_in_one_sentence(tmp_path, content, message):
    path = tmp_path / "test_001.tdms"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=message) as caught:
        read_header(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(FormatError, match="there is no such file"):
        read_header(tmp_path / "absent.tdms")
    with pytest.raises(FormatError, match="is a folder; name the files in it"):
        read_header(tmp_path)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"sampling_rat": 1000}, r"no acquisition value 'sampling_rat' to declare. Did you mean 'sampling_rate'\?"),
        ({"n_rows": 0}, "n_rows is declared as 0; give a whole number of 1 or more"),
        ({"n_bncs": 1.5}, "n_bncs is declared as 1.5; give a whole number of 0 or more"),
        ({"units": "v"}, r"units is declared as 'v'. Did you mean 'V'\?"),
        ({"orientation": "channels_by_tim"}, r"Did you mean 'channels_by_time'\?"),
        ({"sampling_interval": 10}, "without its unit"),
        ({"interval_variable": "si"}, "without its unit"),
        ({"sampling_interval": 1, "sampling_interval_unit": "ms", "sampling_rate": 1}, "Both"),
    ],
)
def test_what_cannot_be_declared_is_refused(tmp_path, declared, message):
    with pytest.raises(SettingsError, match=message):
        read_header(tmp_path / "any.tdms", declared)


def test_what_a_file_says_of_itself_becomes_storable_without_losing_a_value():
    info = {"a/b": 1, "a_b": 2, "": "x\x00y", "..": 3.5}
    assert list(storable(info).values()) == [1, 2, "xy", 3.5]
    assert len(storable(info)) == 4
