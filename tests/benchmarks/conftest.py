import pytest

from fcmae.benchmarks import rates


@pytest.fixture(autouse=True)
def _small_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device's own rates are probed on little: what they are is not tested here."""
    monkeypatch.setitem(rates.SIDES, "cpu", (64, 96))
    monkeypatch.setitem(rates.BYTES, "cpu", 1 << 16)
