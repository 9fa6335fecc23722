import pytest
import torch

from fcmae.benchmarks import rates
from fcmae.benchmarks.rates import Probe, Rate
from fcmae.training.devices import Place

CPU = Place(torch.device("cpu"), "fp32")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_fastest_product_counts(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rates.SIDES, "cpu", (48, 96))
    probe = rates.matrix_products(Place(CPU.device, precision))
    assert {"torch.mm, 48", "torch.mm, 96"} <= set(probe.candidates)
    for _ in range(3):
        probe.take_turn()
    best = probe.fastest()
    assert len(best.seconds) == 3
    assert best.amount == 2 * int(best.what.split()[-1]) ** 3
    assert best.per_second == max(
        amount / sorted(probe.seconds[name])[1] for name, (amount, _) in probe.candidates.items()
    )


def test_both_libraries_compute_the_same_amount() -> None:
    a, b = torch.randn(2, 24, 24)
    call = rates._onednn(a, b)
    if call is None:
        pytest.skip("this torch has no oneDNN")
    torch.testing.assert_close(call(), a @ b.T)


def test_traffic_counts_what_is_read_and_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rates.BYTES, "cpu", 4096)
    probe = rates.memory_traffic(CPU)
    probe.take_turn()
    assert probe.fastest().amount == 8192


def test_shares_are_of_the_same_round() -> None:
    rate = Rate("product", amount=100.0, seconds=[1.0, 2.0])
    assert rate.per_second == pytest.approx(100 / 1.5)
    assert rate.shares(50.0, [1.0, 1.0]) == [0.5, 1.0]


def test_each_candidate_is_called_once_a_turn_and_once_before() -> None:
    calls: list[str] = []
    probe = Probe({"a": (1.0, lambda: calls.append("a"))}, CPU)
    probe.take_turn()
    probe.take_turn()
    assert calls == ["a"] * 3
