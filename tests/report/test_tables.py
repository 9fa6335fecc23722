from fcmae.report import tables
from fcmae.report.read import read_run


def test_departures_are_rows_of_words(make_run) -> None:
    assert tables.departures(read_run(make_run())) == [
        tables.Departure("batch_size", "4096", "64", "4000 images")
    ]


def test_departures_that_are_unknown_are_none(make_run) -> None:
    assert tables.departures(read_run(make_run(config={"departures": None}))) == []


def test_every_value_of_the_configuration_is_somewhere(make_run) -> None:
    found = dict(tables.configuration(read_run(make_run())))
    assert ("model.in_channels", "13") in found["Configuration"]
    assert ("image_size", "64, 96") in found["Configuration"]
    assert ("base_learning_rate", "1.5e-4") in found["Recipe, as this run used it"]
    assert found["Versions"] == [("fcmae", "0.1.0")]
