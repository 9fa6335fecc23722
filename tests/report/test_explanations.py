import pytest

from fcmae.report import explanations
from fcmae.report.read import read_run


def test_the_loss_is_explained_as_it_was_computed(make_run) -> None:
    assert "deviation 1" in explanations.loss(read_run(make_run()))
    plain = read_run(make_run(config={"recipe": {"norm_pix": False}}))
    assert "deviation" not in explanations.loss(plain)
    assert "contrast" not in explanations.reconstructions(plain)


def test_a_contrastive_loss_is_explained_with_that_of_guesses(make_run) -> None:
    config = {"method": "moco-v3", "chance": 3.3271, "batch_size": 64}
    text = explanations.loss(read_run(make_run(config=config)))
    assert "Guesses score 3.327 in a batch of 64, and more in a larger batch" in text
    unsaid = explanations.loss(read_run(make_run(config={"method": "moco-v3"})))
    assert "Guesses score more in a larger batch" in unsaid


@pytest.mark.parametrize(("waiting", "says"), [(0.02, "not what limits"), (0.4, "more loading")])
def test_waiting_for_images_is_judged(make_run, waiting: float, says: str) -> None:
    timing = [{"step": 1, "images_per_second": 9.0, "waiting": waiting, "peak_memory": 1.2e9}]
    text = explanations.throughput(read_run(make_run(timing=timing)))
    assert says in text
    assert "1.2 GB" in text


@pytest.mark.parametrize(("decoding", "advised"), [("fast", False), ("exact", True)])
def test_fast_decoding_is_advised_where_it_is_not_used(
    make_run, decoding: str, advised: bool
) -> None:
    timing = [{"step": 1, "images_per_second": 9.0, "waiting": 0.4}]
    text = explanations.throughput(read_run(make_run(config={"decoding": decoding}, timing=timing)))
    assert "--workers" in text
    assert ("--decoding fast" in text) == advised


def test_unreadable_files_are_counted_against_all(full_run) -> None:
    assert explanations.unreadable(read_run(full_run)).startswith("1 file of 4,000 (0.0 %)")
