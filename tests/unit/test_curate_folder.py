"""Where a curation may write: found out before any work is done."""

from pathlib import Path

import pytest

from evalkit.curation.folder import check_out
from evalkit.errors import EvalkitError
from tests.run_folders import row, write_run


def test_new_and_empty_folders_will_do(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for out in (tmp_path / "empty", tmp_path / "new", tmp_path / "deep" / "er"):
        check_out(out)
    assert not (tmp_path / "new").exists()


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for out in (tmp_path, tmp_path / "file", tmp_path / "link"):
        with pytest.raises(EvalkitError, match="is there already and not empty; name another --out"):
            check_out(out)


def test_a_run_folder_stays_the_runs_own(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [row("1")])
    (tmp_path / "link").symlink_to(run)
    for out in (run / "out", run / "images" / "out", tmp_path / "link" / "out"):
        with pytest.raises(EvalkitError, match="is inside the run folder"):
            check_out(out)
    check_out(tmp_path / "beside")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(EvalkitError, match=r"cannot make .*file is no folder that can be written to"):
        check_out(tmp_path / "file" / "out")
