"""`analyze reconstruct`: what is shown and its errors against the definition, and bad input."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from fcmae.analyze import reconstruct
from fcmae.analyze.models import read_autoencoders
from fcmae.analyze.reconstructions import complete
from fcmae.images import centre_crop, decode
from fcmae.models.masks import enlarge, random_mask
from fcmae.storage.atomic import save_tensors
from fcmae.training.devices import Runtime

CPU = Runtime(torch.device("cpu"), "fp32")
SIZE = (32, 48)


def rows_of(out: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((out / "results.json").read_text())["rows"]
    return rows


def pictures(
    data: Path, number: int, size: tuple[int, int] = SIZE
) -> tuple[list[str], torch.Tensor]:
    paths = sorted(data.glob("val/*/*.png"))[:number]
    return [str(path) for path in paths], torch.stack(
        [centre_crop(decode(path, 3), size) for path in paths]
    )


@pytest.mark.parametrize("patch_size", [8, 16])
def test_visible_pixels_are_the_images_and_masked_ones_the_models(
    run: Path, data: Path, patch_size: int
) -> None:
    (model,) = read_autoencoders((str(run),))
    _, images = pictures(data, 3)
    grid = (32 // patch_size, 48 // patch_size)
    mask = random_mask(3, grid, 0.5, torch.Generator().manual_seed(1))
    found, errors = complete(model, images, mask, patch_size, CPU)
    hidden = enlarge(mask, patch_size).unsqueeze(1).expand_as(images)
    torch.testing.assert_close(found[~hidden], images[~hidden], rtol=0, atol=1e-5)

    normalised = (images - model.mean) / model.std
    output = model.autoencoder(normalised, mask)
    losses, squares = [], []
    cells = enlarge(mask, patch_size // 8)
    for image, row, column in cells.nonzero().tolist():
        part = (image, slice(None), slice(8 * row, 8 * row + 8), slice(8 * column, 8 * column + 8))
        truth, predicted = normalised[part], output.prediction[image, row, column].view(8, 8, 3)
        deviation = (truth.var() + 1e-6).sqrt()
        target = (truth - truth.mean()) / deviation
        predicted = predicted.permute(2, 0, 1)
        losses.append((predicted - target).square().mean().item())
        pixels = (predicted * deviation + truth.mean()) * model.std + model.mean
        torch.testing.assert_close(found[part], pixels, rtol=1e-4, atol=1e-5)
        squares.append((pixels - images[part]).square().mean().item())
    assert errors["loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-4)
    assert errors["pixel_error"] == pytest.approx(sum(squares) / len(squares), rel=1e-4)


def test_ratios_and_patch_sizes_are_a_row_each(tmp_path: Path, run: Path, data: Path) -> None:
    files, images = pictures(data, 2, (32, 64))
    out = tmp_path / "out"
    page = reconstruct(
        weights=(str(run),),
        images=tuple(files),
        out=out,
        mask_ratios=(0.25, 0.5, 0.25),
        patch_sizes=(8, 16),
        image_size="32x64",
        seed=3,
        device="cpu",
    )
    rows = rows_of(out)
    settings = [(row["settings"]["patch_size"], row["settings"]["mask_ratio"]) for row in rows]
    assert settings == [(8, 0.25), (8, 0.5), (16, 0.25), (16, 0.5)]
    assert [row["masked_share"] for row in rows] == [0.25, 0.5, 0.25, 0.5]
    (model,) = read_autoencoders((str(run),))
    mask = random_mask(2, (2, 4), 0.5, torch.Generator().manual_seed(3))
    _, expected = complete(model, images, mask, 16, CPU)
    assert rows[3]["loss"] == pytest.approx(expected["loss"], rel=1e-4)
    assert page == out / "page.html"
    assert "patches of 8 pixels at ratio 0.25" in page.read_text()
    assert (out / "figure.svg").read_bytes().startswith(b"<?xml")
    assert (out / "figure.png").stat().st_size > 10_000


def test_what_is_not_given_is_the_runs(tmp_path: Path, run: Path, data: Path) -> None:
    reconstruct(weights=(str(run),), data=str(data), out=tmp_path, num_images=1, device="cpu")
    (row,) = rows_of(tmp_path)
    settings = row["settings"]
    assert (settings["patch_size"], settings["mask_ratio"]) == (16, 0.6)
    assert settings["image_size"] == [32, 48]
    assert row["masked_share"] == pytest.approx(4 / 6)


def test_runs_see_the_same_masks(tmp_path: Path, run: Path, data: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(run, other)
    out = tmp_path / "out"
    reconstruct(weights=(str(run), str(other)), data=str(data), out=out, mask="block", device="cpu")
    (row,) = rows_of(out)  # the same weights are the same row
    assert row["settings"]["mask"] == "block"
    text = (out / "page.html").read_text()
    assert "out (convnextv2_atto)" in text
    assert "other (convnextv2_atto)" in text


def test_boxes_mask_what_they_touch_and_the_page_says_what(
    tmp_path: Path, run: Path, data: Path
) -> None:
    page = reconstruct(
        weights=(str(run),),
        data=str(data),
        out=tmp_path,
        mask="boxes",
        boxes=("15,0,2,9", "40,31,1,1"),
        patch_sizes=(8, 16),
        device="cpu",
    )
    shares = [row["masked_share"] for row in rows_of(tmp_path)]
    assert shares == pytest.approx([5 / 24, 3 / 6])
    text = page.read_text()
    assert (
        "Of 4 x 6 patches of 8 pixels these are masked (row/column from 0): 0/1, 0/2, 1/1" in text
    )
    assert "0/0, 0/1, 1/2." in text


def bad(tmp_path: Path, run: Path, data: Path, /, **options: Any) -> Any:
    given = {"weights": (str(run),), "data": str(data), "out": tmp_path / "out", "device": "cpu"}
    return reconstruct(**given | options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mask": "blocks"}, "unknown mask 'blocks': did you mean 'block'"),
        ({"mask": "boxes"}, "mask 'boxes' needs some"),
        ({"boxes": ("0,0,4,4",)}, "boxes: mask 'random' draws its own"),
        ({"mask": "boxes", "mask_ratios": (0.5,)}, "mask_ratios: the boxes say what is masked"),
        ({"mask_ratios": (0.99,)}, "mask ratio 0.99 leaves none of the 6 patches visible"),
        ({"patch_sizes": (12,)}, "patch_size 12 is not a multiple of the encoder's total stride 8"),
        ({"patch_sizes": (32,)}, "48 is not a multiple of the patch size 32"),
        ({"image_size": 36}, "36 is not a multiple of the patch size 16"),
        ({"num_images": 0}, "num_images 0"),
        ({"data": None}, "images, data: give one of the two"),
    ],
)
def test_bad_options_are_refused(
    tmp_path: Path, run: Path, data: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        bad(tmp_path, run, data, **options)


def test_weights_without_a_decoder_are_refused(
    tmp_path: Path, run: Path, data: Path, v2: str
) -> None:
    for weights in (v2, str(run / "weights.safetensors"), str(tmp_path)):
        with pytest.raises(ValueError, match="have no decoder: give the folder of a pre-training"):
            bad(tmp_path, run, data, weights=(weights,))


def test_a_run_without_a_checkpoint_yet_is_refused(tmp_path: Path, run: Path, data: Path) -> None:
    young = tmp_path / "young"
    shutil.copytree(run, young, ignore=shutil.ignore_patterns("checkpoints"))
    with pytest.raises(ValueError, match="young: the run has no checkpoint yet"):
        bad(tmp_path, run, data, weights=(str(young),))


def copy_with(run: Path, to: Path, state: dict[str, torch.Tensor]) -> str:
    shutil.copytree(run, to)
    save_tensors(to / "checkpoints" / "last" / "model.safetensors", state)
    return str(to)


def test_a_run_that_trains_no_decoder_is_refused(tmp_path: Path, run: Path, data: Path) -> None:
    other = copy_with(run, tmp_path / "other", {"encoder.x": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"are of a run that trains no decoder \(pretrain\)"):
        bad(tmp_path, run, data, weights=(other,))


def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path: Path, run: Path, data: Path) -> None:
    (model,) = read_autoencoders((str(run),))
    state = model.autoencoder.state_dict()
    state["decoder.pred.bias"] = state["decoder.pred.bias"][:-1]
    other = copy_with(run, tmp_path / "other", state)
    with pytest.raises(ValueError, match="configuration and checkpoint do not fit"):
        bad(tmp_path, run, data, weights=(other,))


def test_predictions_that_are_no_numbers_are_refused(tmp_path: Path, run: Path, data: Path) -> None:
    (model,) = read_autoencoders((str(run),))
    state = model.autoencoder.state_dict()
    state["decoder.pred.bias"] = state["decoder.pred.bias"] * torch.nan
    other = copy_with(run, tmp_path / "other", state)
    with pytest.raises(ValueError, match="predictions are not numbers"):
        bad(tmp_path, run, data, weights=(other,))
