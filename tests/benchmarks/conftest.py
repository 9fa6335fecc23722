import pytest

from fcmae.benchmarks import measuring


@pytest.fixture(autouse=True)
def _small_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device's own rates are probed on little: what they are is not tested here."""
    monkeypatch.setitem(measuring.SIDES, "cpu", (64, 96))
    monkeypatch.setitem(measuring.BYTES, "cpu", 1 << 16)
