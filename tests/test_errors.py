"""An unknown name is said together with what it may have been meant to be."""

from pathlib import Path

import pytest

from fcmae.errors import check_target, described, unknown


def test_the_nearest_name_is_suggested() -> None:
    error = unknown("model", "convnextv2_ato", ["convnext_atto", "convnextv2_atto"])
    assert isinstance(error, ValueError)
    assert str(error) == "unknown model 'convnextv2_ato': did you mean 'convnextv2_atto'?"


def test_a_name_like_no_other_lists_them_all() -> None:
    message = str(unknown("precision", "##", ["auto", "fp32", "bf16"]))
    assert message == "unknown precision '##': it may be one of: auto, fp32, bf16"


def test_names_may_come_from_an_iterator() -> None:
    assert "one of: a, b" in str(unknown("letter", "##", iter("ab")))


# Files that a result will be written to


def test_a_target_that_can_be_written_is_fine(tmp_path: Path) -> None:
    check_target("json", tmp_path / "new.json")
    (tmp_path / "old.json").touch()
    check_target("json", tmp_path / "old.json")


def test_a_target_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=r"json: the folder of .*missing/a\.json does not exist"):
        check_target("json", tmp_path / "missing" / "a.json")
    with pytest.raises(ValueError, match=r"json .* is a folder: give a file"):
        check_target("json", tmp_path)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(ValueError, match=r"out .*a\.csv cannot be written there"):
        check_target("out", tmp_path / "a.csv")


def test_an_error_of_any_kind_is_its_class_and_what_it_says() -> None:
    assert described(ValueError("  no\nsuch thing ")) == "ValueError: no\nsuch thing"
    assert described(KeyboardInterrupt()) == "KeyboardInterrupt"
    long = described(ValueError("begin" + 10_000 * "x" + "end"))
    assert len(long) == 2000
    assert (long[:17], long[-3:]) == ("ValueError: begin", "end")
