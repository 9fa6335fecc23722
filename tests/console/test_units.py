import pytest

from fcmae.console import units


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (59.6, "1 min 0 s"),
        (192, "3 min 12 s"),
        (18240, "5 h 4 min"),
        (183600, "2 d 3 h"),
    ],
)
def test_duration_names_the_two_units_that_matter(seconds: float, words: str) -> None:
    assert units.duration(seconds) == words


@pytest.mark.parametrize(("value", "words"), [(0, "0"), (3.75e-5, "3.75e-5"), (1.2e-12, "1.2e-12")])
def test_scientific_has_no_padding(value: float, words: str) -> None:
    assert units.scientific(value) == words


@pytest.mark.parametrize(("value", "words"), [(250, "250"), (20_000, "20k"), (1_500_000, "1.5M")])
def test_short_ticks(value: float, words: str) -> None:
    assert units.short(value) == words


@pytest.mark.parametrize(
    ("share", "words"), [(0, "0 %"), (0.004, "0.4 %"), (0.04, "4 %"), (1, "100 %")]
)
def test_a_little_is_not_none(share: float, words: str) -> None:
    assert units.percent(share) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "none"),
        (True, "yes"),
        (4096, "4096"),
        (3.90625e-6, "3.90625e-6"),
        (0.05, "0.05"),
        ([0.9, 0.95], "0.9, 0.95"),
        ({"F": 0.05}, "F: 0.05"),
    ],
)
def test_cells_of_a_configuration(value: object, words: str) -> None:
    assert units.cell(value) == words


def test_a_loss_keeps_digits_at_every_size() -> None:
    assert [units.loss(value) for value in (1, 0.7104, 0.00012345, 54321.0)] == [
        "1.000",
        "0.710",
        "0.000123",
        "5.43e+04",
    ]
