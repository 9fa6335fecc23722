import json
from pathlib import Path

import pytest

from fcmae.finetuning import classes
from fcmae.finetuning.results import Results, read_results
from fcmae.report.run import read_run


def results_of(make_run, confusion: list[list[int]], train: list[int] | None = None) -> Results:
    folder: Path = make_run(config={"task": "finetune"})
    names = [f"class {place}" for place in range(len(confusion))]
    found = {"classes": names, "confusion": confusion, "train_images": train}
    (folder / "validation.json").write_text(json.dumps(found))
    return read_results(read_run(folder))


def test_classes_are_judged_worst_first(finetuned_run: Path) -> None:
    rows = classes.class_rows(read_results(read_run(finetuned_run)))
    assert [row.name for row in rows] == ["tulip", "rose", "daisy"]
    assert [row.right for row in rows] == ["0 of 2", "7 of 8", "10 of 10"]
    assert [row.mistaken_for for row in rows] == ["daisy (2)", "daisy (1)", ""]
    assert [row.share for row in rows] == [0, 0.875, 1]


def test_a_class_without_images_is_not_judged(make_run) -> None:
    results = results_of(make_run, [[3, 1], [0, 0]])
    assert [row.name for row in classes.class_rows(results)] == ["class 0"]
    assert [confusion.share for confusion in classes.confusions(results)] == [0.25]


def test_sizes_that_differ_much_are_shown_largest_first(make_run) -> None:
    results = results_of(make_run, [[1, 0], [0, 1]], [10, 31])
    assert [(row.name, row.images) for row in classes.size_rows(results)] == [
        ("class 1", 31),
        ("class 0", 10),
    ]


@pytest.mark.parametrize("train", [None, [10, 30], [0, 0], [5], ["x", 1]])
def test_sizes_that_are_alike_or_unknown_are_not_shown(make_run, train) -> None:
    assert classes.size_rows(results_of(make_run, [[1, 0], [0, 1]], train)) == []


def test_of_many_classes_the_most_frequent_confusions_are_named(make_run) -> None:
    number = 31
    confusion = [[0] * number for _ in range(number)]
    for place in range(number):
        confusion[place][place] = 60
        confusion[place][(place + 1) % number] = place + 1
    results = results_of(make_run, confusion)
    named = classes.confusions(results)
    assert len(named) == classes.MOST_CONFUSIONS
    assert (named[0].label, named[0].predicted) == (f"class {number - 1}", "class 0")
    assert [row.images for row in named] == list(range(number, number - len(named), -1))
    assert named[0].share == pytest.approx(31 / 91)


def test_nothing_confused_is_nothing_named(make_run) -> None:
    assert classes.confusions(results_of(make_run, [[5, 0], [0, 3]])) == []
    assert classes.confusions(results_of(make_run, [])) == []
