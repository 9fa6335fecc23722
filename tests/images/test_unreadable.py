import json
import pickle

import pytest

from fcmae.images.unreadable import Unreadable, Unreadables


def test_the_exception_survives_the_way_from_a_worker() -> None:
    error = pickle.loads(pickle.dumps(Unreadable("a/b.jpg", "empty file")))
    assert (error.path.as_posix(), error.reason) == ("a/b.jpg", "empty file")
    assert str(error) == "a/b.jpg: empty file"


def test_five_per_cent_is_tolerated_and_one_more_is_not() -> None:
    unreadables = Unreadables(total=100)
    for number in range(5):
        unreadables.add([(f"{number}.jpg", "empty file")])
    unreadables.add([("0.jpg", "empty file")])  # met again in the next epoch: the same file
    assert len(unreadables) == 5
    with pytest.raises(ValueError, match=r"6 of 100 files.*\n.*0\.jpg: empty file") as caught:
        unreadables.add([("5.jpg", "truncated")])
    assert "5.jpg: truncated" in str(caught.value)


def test_the_error_lists_twenty_and_counts_the_others() -> None:
    with pytest.raises(ValueError, match="and 13 more") as caught:
        Unreadables(total=40).add((f"{number}.jpg", "empty file") for number in range(33))
    assert str(caught.value).count("empty file") == 20


def test_restored_from_json_it_goes_on_counting() -> None:
    before = Unreadables(total=20)
    before.add([("a.jpg", "empty file")])
    after = Unreadables(total=20)
    after.restore(json.loads(json.dumps(before.state())))
    with pytest.raises(ValueError, match="2 of 20"):
        after.add([("b.jpg", "missing")])
