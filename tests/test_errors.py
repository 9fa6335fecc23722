"""An unknown name is said together with what it may have been meant to be."""

from fcmae.errors import unknown


def test_the_nearest_name_is_suggested() -> None:
    error = unknown("model", "convnextv2_ato", ["convnext_atto", "convnextv2_atto"])
    assert isinstance(error, ValueError)
    assert str(error) == "unknown model 'convnextv2_ato': did you mean 'convnextv2_atto'?"


def test_a_name_like_no_other_lists_them_all() -> None:
    message = str(unknown("precision", "##", ["auto", "fp32", "bf16"]))
    assert message == "unknown precision '##': it may be one of: auto, fp32, bf16"


def test_names_may_come_from_an_iterator() -> None:
    assert "one of: a, b" in str(unknown("letter", "##", iter("ab")))
