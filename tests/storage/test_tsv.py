import pytest

from ecogpipe.errors import FormatError
from ecogpipe.storage.tsv import read_tsv, write_tsv


def test_a_table_comes_back_as_it_was_written(tmp_path):
    path = write_tsv(tmp_path / "t.tsv", {"grid": [8, 8]}, ["name", "value"], [["a, b", 1], ['"quoted"', None]])
    table = read_tsv(path)
    assert table.header == {"grid": [8, 8]}
    assert table.rows == [{"name": "a, b", "value": "1"}, {"name": '"quoted"', "value": ""}]


def test_a_table_saved_by_a_spreadsheet_is_understood(tmp_path):
    (tmp_path / "t.tsv").write_text('\ufeffname\tbnc\r\nx\t"10:ttl_high, 11:analog"\r\n\r\n', encoding="utf-8")
    assert read_tsv(tmp_path / "t.tsv").rows == [{"name": "x", "bnc": "10:ttl_high, 11:analog"}]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('a\tb\n"x\ty\nz\tw\n', "quotes in line 2, "),
        ("a\tb\n1\t2\t3\n", "line 2 has 3 cells for 2 columns"),
        ("a\tb\n1  2\n", "line 2 is one cell, '1  2', for 2 columns; separate cells by one tab, not by spaces"),
        ("# made by hand\n\na\tb\n1\t2\n\n# more\n1\t2\t3\n", "line 7 has 3 cells"),
        ("# only a comment\n", "the table is empty"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(tmp_path, content, sentence):
    (tmp_path / "t.tsv").write_text(content)
    with pytest.raises(FormatError, match=sentence):
        read_tsv(tmp_path / "t.tsv")


def test_what_is_no_text_or_not_there_is_refused(tmp_path):
    (tmp_path / "t.tsv").write_bytes(b"\xff\x00\x00\x01")
    with pytest.raises(FormatError, match="not a text file"):
        read_tsv(tmp_path / "t.tsv")
    with pytest.raises(FormatError, match="no such table"):
        read_tsv(tmp_path / "absent.tsv")


def test_a_table_as_a_spreadsheet_saves_it(tmp_path):
    """Comments in quotes, blanks around the names of columns, empty columns and cells at the right, its line ends."""
    table = (
        '"# One row per recording, cells separated by one tab"\t\t\t\r\n'
        "# key: 5\t\t\t\r\n"
        " name \tvalue\t\t\r\n"
        "a\t1\t\t\r\n"
        "\t\t\t\r\n"
        "b\t\t\t\r\n"
    )
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / "t.tsv").write_bytes(table.encode(encoding))
        read = read_tsv(tmp_path / "t.tsv")
        assert read.columns == ("name", "value")
        assert read.rows == [{"name": "a", "value": "1"}, {"name": "b", "value": ""}]
        assert read.header == {"key": 5}


def test_a_table_of_another_encoding_is_named(tmp_path):
    (tmp_path / "t.tsv").write_bytes("name\n5 µV\n".encode("cp1252"))
    with pytest.raises(FormatError, match=r"t.tsv: is not a text file in UTF-8; save it"):
        read_tsv(tmp_path / "t.tsv")
