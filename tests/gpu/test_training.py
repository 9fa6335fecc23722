"""Runs as a user starts them, and what is taken from their files."""

from typing import Any

import pytest
import torch

from fcmae.studies import reconstruction
from gpu.training import pretrain_shortly, toy_study

CPU = torch.device("cpu")


def test_a_setting_of_the_toy_study_has_its_own_row_of_the_folder_that_all_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[dict[str, Any]] = []

    def study(**options: Any) -> list[dict[str, Any]]:
        (encoder,), (size,) = options["encoders"], options["mask_sizes"]
        done.append({"encoder": encoder, "mask_size": size, "mse": len(done)})
        return list(done)

    monkeypatch.setattr(reconstruction, "reconstruction", study)
    given = {"data": "images", "out": "folder", "num_images": 5, "epochs": 1}
    for number, (encoder, size) in enumerate(
        (("convnext", 2), ("transformer", 2), ("convnext", 8))
    ):
        (row,) = toy_study(CPU, encoder=encoder, mask_size=size, **given)
        assert row == {"encoder": encoder, "mask_size": size, "mse": number}


def test_a_short_run_says_how_long_it_waited() -> None:
    (row,) = pretrain_shortly(
        CPU,
        model="convnextv2_atto",
        photographs=2,
        copies=3,
        epochs=2,
        batch_size=3,
        image_size=64,
        workers=0,
    )
    assert (row["images"], row["batch_size"]) == (6, 3)
    assert 0 <= row["waiting"] <= 1
    assert row["images_per_second"] > 0
    assert 0 < row["last_loss"] < 2
