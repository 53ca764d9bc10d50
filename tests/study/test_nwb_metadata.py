"""What NWB files need besides signals is told at once, by file and cell, before anything runs."""

import subprocess
import sys
from dataclasses import dataclass, field

import pytest
import yaml

from ecogpipe.study.config import config_folder, workflow_folder
from ecogpipe.study.nwb_metadata import blank_sessions, blank_subjects, find_metadata

SUBJECT = {
    "subject": "s1",
    "species": "Rattus norvegicus",
    "sex": "F",
    "date_of_birth": "2017-09-01",
    "age": "",
    "strain": "",
    "genotype": "",
    "weight": "0.31 kg",
    "description": "",
}
SESSION = {
    "subject": "s1",
    "session": "a",
    "session_description": "Rest.",
    "location": "auditory cortex",
    "reference": "skull screw",
    "experimenter": "Doe, Jane; Roe, R. R.",
    "age": "",
}
NWB = {
    "make": True,
    "mirrors": ["low"],
    "raw": False,
    "compression": "none",
    "lab": "Lab",
    "institution": "",
    "experiment_description": "Tests.",
    "keywords": ["ECoG"],
    "electrode_manufacturer": "Foundry",
}


@dataclass
class Row:
    subject: str = "s1"
    session: str = "a"
    overrides: dict = field(default_factory=dict)
    full_name: str = "s1/a/x"

    def mirrors_of(self, names):
        return names


def write_tables(study, subject=SUBJECT, session=SESSION):
    (study / "config").mkdir(exist_ok=True)
    for name, row in (("subjects", subject), ("sessions", session)):
        lines = ["# a comment", "\t".join(row), "\t".join(row.values())]
        (study / "config" / f"{name}.tsv").write_text("\n".join(lines) + "\n")


def faults_of(study, nwb=NWB, rows=None):
    return find_metadata(
        study, {"nwb": nwb, "mirrors": {"low": {}}, "recordings": "config/recordings.tsv"}, rows or [Row()]
    )[1]


def test_what_is_filled_in_arrives_and_what_is_empty_is_left_out(tmp_path):
    write_tables(tmp_path)
    metadata, faults = find_metadata(
        tmp_path, {"nwb": NWB, "mirrors": {"low": {}}, "recordings": "config/recordings.tsv"}, [Row()]
    )
    assert faults == []
    texts = metadata["s1/a"]
    assert texts["subject"] == {
        "species": "Rattus norvegicus",
        "sex": "F",
        "date_of_birth": "2017-09-01",
        "weight": "0.31 kg",
    }
    assert "age" not in texts["session"]
    assert "institution" not in texts["study"]


WRONG_CELLS = [
    ("subjects", "species", "rat", "a Latin name"),
    ("subjects", "species", "", "a Latin name"),
    ("subjects", "species", "FILL_IN", "a Latin name"),
    ("subjects", "sex", "male", "M, F, O"),
    ("subjects", "sex", "", "M, F, O"),
    ("subjects", "date_of_birth", "1.9.2017", "a day such as"),
    ("subjects", "date_of_birth", "2017-02-30", "a day such as"),
    ("subjects", "age", "90 days", "an ISO 8601 duration"),
    ("subjects", "age", "P", "an ISO 8601 duration"),
    ("subjects", "weight", "310", "a number and its unit"),
    ("sessions", "session_description", "", "what was done"),
    ("sessions", "location", "FILL_IN", "the area of the brain"),
    ("sessions", "reference", "", "what the electrodes"),
    ("sessions", "experimenter", "Jane Doe", "Last, First"),
    ("sessions", "experimenter", "Doe, Jane; Roe", "Last, First"),
    ("sessions", "age", "P90", "an ISO 8601 duration"),
]


@pytest.mark.parametrize(("table", "column", "cell", "told"), WRONG_CELLS)
def test_each_wrong_cell_has_its_sentence(tmp_path, table, column, cell, told):
    rows = {"subjects": SUBJECT, "sessions": SESSION}
    rows[table] = rows[table] | {column: cell}
    if column == "date_of_birth":
        rows["subjects"]["age"] = "P90D"
    write_tables(tmp_path, rows["subjects"], rows["sessions"])
    whose = "s1" if table == "subjects" else "s1/a"
    [fault] = faults_of(tmp_path)
    assert fault.startswith(f"config/{table}.tsv: {column} of {whose} is ")
    assert told in fault
    assert not cell or cell in fault


@pytest.mark.parametrize("age", ["P90D", "P1Y2M", "P3W", "P90D/P120D", "P90D/", "P0.5Y", "P1DT12H"])
def test_ages_that_archives_take_are_taken(tmp_path, age):
    write_tables(tmp_path, SUBJECT | {"age": age, "date_of_birth": ""})
    assert faults_of(tmp_path) == []


def test_an_age_of_the_session_serves_and_none_at_all_is_told(tmp_path):
    write_tables(tmp_path, SUBJECT | {"date_of_birth": ""}, SESSION | {"age": "P90D"})
    assert faults_of(tmp_path) == []
    write_tables(tmp_path, SUBJECT | {"date_of_birth": ""})
    assert faults_of(tmp_path) == ["config/subjects.tsv: s1 has neither date_of_birth nor age; fill in one"]


def test_rows_files_and_columns_that_are_missing_are_told(tmp_path):
    assert [fault.partition(";")[0] for fault in faults_of(tmp_path)] == [
        "config/subjects.tsv: is missing",
        "config/sessions.tsv: is missing",
    ]
    write_tables(tmp_path)
    told = faults_of(tmp_path, rows=[Row(), Row("s1", "b"), Row("s2", "a")])
    assert [fault.partition(";")[0] for fault in told] == [
        "config/subjects.tsv: has no row for s2",
        "config/sessions.tsv: has no row for s1/b",
        "config/sessions.tsv: has no row for s2/a",
    ]
    write_tables(tmp_path, {name: cell for name, cell in SUBJECT.items() if name != "sex"} | {"sexx": "F"})
    told = faults_of(tmp_path)
    assert any("has no column sex" in fault for fault in told)
    assert any("'sexx'" in fault and "'sex'" in fault for fault in told)


@pytest.mark.parametrize("key", ["lab", "institution", "experiment_description", "electrode_manufacturer"])
def test_blanks_of_the_config_are_told(tmp_path, key):
    write_tables(tmp_path)
    assert [fault.partition(" is ")[0] for fault in faults_of(tmp_path, NWB | {key: "FILL_IN"})] == [
        f"config.yaml: nwb.{key}"
    ]
    assert len(faults_of(tmp_path, NWB | {"keywords": ["FILL_IN"]})) == 1
    assert len(faults_of(tmp_path, NWB | {"mirrors": ["lwo"]})) == 1
    assert len(faults_of(tmp_path, NWB | {"mirrors": []})) == 1


def test_tables_that_init_writes_hold_every_blank(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "subjects.tsv").write_text(blank_subjects([("s1", "a"), ("s1", "b")]))
    (tmp_path / "config" / "sessions.tsv").write_text(blank_sessions([("s1", "a"), ("s1", "b")]))
    told = faults_of(tmp_path, rows=[Row(), Row("s1", "b")])
    assert len([fault for fault in told if "FILL_IN" in fault]) == 2 + 2 * 4


def test_a_dry_run_tells_everything_and_writes_nothing(tmp_path):
    config = yaml.safe_load((config_folder() / "config.yaml").read_text())
    config["nwb"] = config["nwb"] | {"make": True}
    config["nwb"]["mirrors"] = ["Fs1000"]
    (tmp_path / "config").mkdir()
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "x.mat").write_bytes(b"")
    (tmp_path / "config" / "config.yaml").write_text(yaml.safe_dump(config))
    header = "subject\tsession\trecording\tfiles\tdaq\theadstage\telectrode\tbnc\toverrides"
    row = "s1\ta\tx\traw/x.mat\t2t-as daq v2\tzif26 to 2x uhdmi\tactv_64\t10:ttl_high\t"
    (tmp_path / "config" / "recordings.tsv").write_text(f"{header}\n{row}\n")
    snakefile = workflow_folder() / "Snakefile"
    command = [sys.executable, "-m", "snakemake", "-s", str(snakefile), "-d", str(tmp_path), "-c1", "--dry-run"]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.returncode != 0
    for told in ("nwb.lab", "nwb.keywords", "config/subjects.tsv: is missing", "config/sessions.tsv: is missing"):
        assert told in run.stdout
    assert not (tmp_path / "results").exists()
