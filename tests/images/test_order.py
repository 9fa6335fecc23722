import pytest

from fcmae.images.order import Order, epoch_order, mix


def test_a_permutation_that_is_a_function_of_seed_and_epoch() -> None:
    order = epoch_order(1000, seed=3, epoch=2)
    assert sorted(order) == list(range(1000))
    assert (order == epoch_order(1000, seed=3, epoch=2)).all()
    for seed, epoch in [(3, 1), (2, 3), (4, 2)]:
        assert (order == epoch_order(1000, seed, epoch)).mean() < 0.02


def test_the_order_never_changes() -> None:
    """A run of an older version is resumed in its own order, so these numbers must stay."""
    assert mix(0, 1, 2) == 5458876493991123480
    assert epoch_order(8, seed=0, epoch=0).tolist() == [0, 2, 4, 1, 7, 6, 3, 5]


def test_mix_depends_on_each_number_and_its_place() -> None:
    values = [mix(), mix(0), mix(0, 0), mix(1, 0), mix(0, 1), mix(-1, 0), mix(10), mix(2**70)]
    assert len(set(values)) == len(values)
    assert all(0 <= value < 2**63 for value in values)


def test_every_epoch_takes_each_image_at_most_once() -> None:
    order = Order(length=13, batch_size=4, seed=0)
    assert order.steps_per_epoch == 3
    for epoch in range(3):
        samples = [sample for step in range(3) for sample in order.batch(3 * epoch + step)]
        assert {taken for taken, _ in samples} == {epoch}
        assert [index for _, index in samples] == epoch_order(13, 0, epoch)[:12].tolist()


def test_steps_can_be_asked_for_in_any_order() -> None:
    forward, backward = Order(7, 2, seed=1), Order(7, 2, seed=1)
    expected = [forward.batch(step) for step in range(9)]
    assert [backward.batch(step) for step in reversed(range(9))] == expected[::-1]


def test_a_batch_larger_than_the_data_set_is_an_error() -> None:
    assert Order(5, 5, seed=0).steps_per_epoch == 1
    with pytest.raises(ValueError, match=r"batch_size 6 .* 5 images .*lower it to 5"):
        Order(5, 6, seed=0)
    with pytest.raises(ValueError, match="batch_size 0"):
        Order(5, 0, seed=0)
