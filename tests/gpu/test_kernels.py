"""Kernels are timed only where they agree; tiny shapes in Triton's interpreter, or on the GPU."""

import json
from functools import partial
from types import SimpleNamespace

import interpreted
import pytest
import torch

from gpu import kernels

DEVICE = torch.device(interpreted.DEVICE)
SMALL = {"batch_size": 1, "image_size": 64, "repeats": 1, "calls": 1}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    conv = interpreted.load("fcmae.ops.depthwise_conv.triton")
    interpreted.load("fcmae.ops.feed_forward.triton")
    if DEVICE.type == "cpu":  # few, wide programs: they run one after another
        wide = conv.Layout(columns=64, block=64)
        monkeypatch.setattr(conv, "layouts_of", lambda *_: conv.Layouts(wide, wide))


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_a_stage_has_a_row_for_each_kernel_with_the_ratio_of_its_times() -> None:
    rows = list(kernels.time_kernels(DEVICE, "convnextv2_atto", 1, **SMALL))
    assert [row["kernel"] for row in rows] == list(kernels.CONTESTS)
    for row in rows:
        assert (row["stage"], row["channels"], row["side"]) == (1, 40, 8)
        assert row["ratio"] == row["eager_seconds"] / row["seconds"]
        assert row["gigabytes_per_second"] > 0
        assert 0 <= row["difference"] <= kernels.TOLERANCE


@pytest.mark.gpu
@pytest.mark.parametrize("stage", [1, 2, 3, 4])
def test_a_stage_agrees_and_is_timed(stage: int) -> None:
    rows = list(
        kernels.time_kernels(DEVICE, "convnextv2_atto", stage, batch_size=4, repeats=2, calls=1)
    )
    assert [row["kernel"] for row in rows] == list(kernels.CONTESTS)
    assert [row for row in rows if "error" in row] == []


def contest(value: float) -> kernels.Contest:
    def constant(value: float) -> list[torch.Tensor]:
        return [torch.full((3,), value, device=DEVICE)]

    return kernels.Contest(partial(constant, value), partial(constant, 1.0), 1)


def test_a_kernel_that_fails_or_disagrees_costs_its_own_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    errors = pytest.importorskip("triton.runtime.errors")

    def fails(_: object) -> kernels.Contest:
        raise errors.OutOfResources(300_000, 232_448, "shared memory")

    built = {
        "fails": fails,
        "wrong": lambda _: contest(1.25),
        "not a number": lambda _: contest(float("nan")),
        "right": lambda _: contest(1.0),
    }
    monkeypatch.setattr(kernels, "CONTESTS", built)
    found = kernels.time_kernels(DEVICE, "convnextv2_atto", 4, **SMALL)
    rows = {row["kernel"]: row for row in found}
    assert list(rows) == list(built)
    assert rows["fails"]["error"].startswith("OutOfResources: out of resource: shared memory")
    assert rows["wrong"]["difference"] == 0.25
    assert "differ by 2.5e-01" in rows["wrong"]["error"]
    assert rows["not a number"]["difference"] is None
    assert "not a finite number" in rows["not a number"]["error"]
    assert "error" not in rows["right"]
    assert rows["right"]["difference"] == 0
    for name in ("fails", "wrong", "not a number"):
        assert "seconds" not in rows[name]
    json.dumps(list(rows.values()), allow_nan=False)


def test_without_triton_there_are_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: object) -> kernels.Contest:
        raise ImportError("No module named 'triton'")

    monkeypatch.setattr(kernels, "CONTESTS", {"a kernel": missing})
    with pytest.raises(ImportError, match="triton"):
        next(kernels.time_kernels(DEVICE, "convnextv2_atto", 4, **SMALL))


def test_one_wrong_value_among_many_is_a_difference() -> None:
    expected = torch.ones(100_000)
    actual = expected.clone()
    actual[7] = 0
    row = kernels.compared([actual], [expected])
    assert row["difference"] == 1
    assert "error" in row


def test_a_long_error_keeps_both_ends() -> None:
    def fails() -> SimpleNamespace:
        raise ValueError("begin\n " + "much  " * 1000 + " end")

    text = kernels.attempt(fails)["error"]
    assert text.startswith("ValueError: begin much")
    assert text.endswith("much end")
    assert len(text) < 500
