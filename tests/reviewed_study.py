"""A study of one finished recording, as `ecogpipe review` opens it."""

from pathlib import Path

from ecogpipe.cli import main
from ecogpipe.steps.report import report
from finished_study import Finished, finished_recording, write_page

PAGE = "/s1/a/test_001/test_001_Fs200_qc.html"
ROW = {"subject": "s1", "session": "a", "recording": "test_001", "files": "raw/r.tdms", "daq": "2t-as daq v2",
       "headstage": "zif26 to 2x uhdmi", "electrode": "actv_64"}  # fmt: skip


def make_study(folder: Path) -> Finished:
    """Make a study of one finished recording."""
    assert main(["init", str(folder)]) == 0
    (folder / "raw").mkdir(exist_ok=True)
    (folder / "raw" / "r.tdms").write_bytes(b"")
    table = folder / "config" / "recordings.tsv"
    header = next(line for line in table.read_text().splitlines() if line and not line.startswith("#")).split("\t")
    table.write_text("\t".join(header) + "\n" + "\t".join(ROW.get(name, "") for name in header) + "\n")
    done = finished_recording(folder / "results" / "s1" / "a" / "test_001", seconds=2)
    write_page(done)
    config = folder / "config" / "config.yaml"
    config.write_text(config.read_text().replace("Fs1000:", "Fs200:"))
    report({"s1/a/test_001": done.folder}, folder / "results" / "report.html", mirrors=["Fs200"], title="Study")
    return done
