"""`analyze selectivity`: indices against loops over single images, resuming, and bad input."""

import csv
import json
import math
import shutil
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from small_models import MEAN, ON_CPU, SIZE, STD, save_model, save_picture
from torch import Tensor

import fcmae
from fcmae.analyze import selectivity, selectivity_indices
from fcmae.analyze.models import AnalyzedModel
from fcmae.analyze.selectivity_indices import (
    Distance,
    ModelSelectivity,
    compare,
    density_plots,
    drawn_blocks,
    page,
    part_with_depth,
    summarise,
    summary,
)
from fcmae.images import decode, evaluation_crop
from fcmae.inference.load import load_backbone
from fcmae.report.charts import Panel
from fcmae.report.verdict import REPRODUCED, UNDECIDED
from fcmae.sizes import size_of


def rows_of(out: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((out / "results.json").read_text())["rows"]
    return rows


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve plots take seconds; what is measured does not depend on them."""
    monkeypatch.setattr(selectivity_indices, "density_plots", lambda _: [[Panel("", "", (0, 1))]])


def outputs_by_hand(weights: str, path: Path) -> dict[str, Tensor]:
    """Every block's output [H, W, C] for one image, in float64."""
    backbone = load_backbone(weights).backbone.double()
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (MEAN, STD))
    crop = evaluation_crop(decode(path, 3), SIZE)
    x = ((crop - mean) / std).double()[None].permute(0, 2, 3, 1)
    found = {}
    for stage, downsample in enumerate(backbone.downsample_layers):
        x = downsample(x)
        for number, block in enumerate(backbone.stages[stage].children()):
            x = block(x)
            found[f"stages.{stage}.{number}"] = x[0]
    return found


def indices_of(out: Path, rows: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Every channel's index, of the model that these rows are of."""
    for path in (out / "indices").iterdir():
        with safe_open(path, "pt") as file:
            if json.loads(file.metadata()["fcmae"])["digest"] == rows[0]["digest"]:
                return load_file(path)
    raise AssertionError("there is no file of this model")


@pytest.mark.parametrize("activity", ["rectified", "absolute"])
@pytest.mark.usefixtures("undrawn")
def test_indices_are_those_of_a_loop_over_images(
    tmp_path: Path, data: Path, v1: str, v2: str, activity: str
) -> None:
    out = tmp_path / "out"
    page = selectivity(weights=(v2, v1), data=str(data), out=out, activity=activity, **ON_CPU)
    assert page == out / "page.html"
    rows = rows_of(out)
    assert [row["label"] for row in rows] == 12 * ["one.safetensors"] + 12 * ["two.safetensors"]
    for weights in (v1, v2):
        means: dict[str, dict[str, Tensor]] = {}  # by block and class
        for place in sorted((data / "val").iterdir()):
            pictures = [outputs_by_hand(weights, path) for path in sorted(place.iterdir())]
            for block in pictures[0]:
                maps = [picture[block] for picture in pictures]
                active = [x.abs() if activity == "absolute" else x.clamp(min=0) for x in maps]
                mean = sum(x.mean((0, 1)) for x in active) / len(active)
                means.setdefault(block, {})[place.name] = mean
        mine = [row for row in rows if row["weights"] == weights]
        assert [row["block"] for row in mine] == list(means)
        stored = indices_of(out, mine)
        for row in mine:
            index = stored[row["block"]]
            for channel in range(0, row["channels"], 9):
                values = sorted(mean[channel].item() for mean in means[row["block"]].values())
                rest, best = sum(values[:-1]) / 2, values[-1]
                expected = (best - rest) / (best + rest) if best else float("nan")
                assert index[channel].item() == pytest.approx(expected, abs=1e-3, nan_ok=True)
            active = [value for value in index.tolist() if not math.isnan(value)]
            assert row["silent"] == row["channels"] - len(active)
            assert row["mean"] == pytest.approx(sum(active) / len(active), rel=1e-5)
            assert row["median"] == pytest.approx(statistics.median(active), rel=1e-5)
            generic = sum(value < 0.2 for value in active) / len(active)
            assert row["below_0.2"] == pytest.approx(generic)
            assert (row["images"], row["classes"], row["fewest_images_of_a_class"]) == (8, 3, 1)


def test_the_files_say_the_same(tmp_path: Path, data: Path, v1: str, v2: str) -> None:
    page = selectivity(weights=(v1, v2), data=str(data), out=tmp_path / "out", **ON_CPU)
    rows = rows_of(page.parent)
    with (page.parent / "results.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [line["block"] for line in table] == [row["block"] for row in rows]
    assert [float(line["mean"]) for line in table] == [row["mean"] for row in rows]
    assert (page.parent / "figure.png").read_bytes()[:4] == b"\x89PNG"
    text = page.read_text()
    assert "stages.3.1 · two.safetensors" in text
    assert "not decidable at this scale, with so few images a class" in text
    assert text.count("<svg ") == 2  # wide and narrow


@pytest.mark.usefixtures("undrawn")
def test_batches_make_no_difference(tmp_path: Path, data: Path, v2: str) -> None:
    found = []
    for size in (1, 8):
        out = tmp_path / str(size)
        selectivity(weights=(v2,), data=str(data), out=out, **ON_CPU | {"batch_size": size})
        found.append([row["mean"] for row in rows_of(out)])
    assert found[0] == pytest.approx(found[1], abs=1e-5)


def test_a_model_alone_is_measured_without_a_comparison(
    tmp_path: Path, data: Path, v2: str
) -> None:
    page = selectivity(weights=(v2,), data=str(data), out=tmp_path / "out", **ON_CPU)
    assert "reproduced" not in page.read_text()
    assert rows_of(page.parent)[0]["distance_from"] is None


@pytest.mark.usefixtures("undrawn")
def test_what_was_measured_is_not_measured_again(
    tmp_path: Path, data: Path, v1: str, v2: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, usual = tmp_path / "out", selectivity_indices.measure
    selectivity(weights=(v1, v2), data=str(data), out=tmp_path / "whole", **ON_CPU)
    measured: list[str] = []

    def interrupted(model: Any, *rest: Any) -> Any:
        if model.label == "two.safetensors" and not measured:
            measured.append("interrupted")
            raise KeyboardInterrupt
        measured.append(model.label)
        return usual(model, *rest)

    selectivity(weights=(v1,), data=str(data), out=out, **ON_CPU)
    monkeypatch.setattr(selectivity_indices, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        selectivity(weights=(v1, v2), data=str(data), out=out, **ON_CPU)
    selectivity(weights=(v1, v2), data=str(data), out=out, **ON_CPU)
    assert measured == ["interrupted", "two.safetensors"]
    assert rows_of(out) == rows_of(tmp_path / "whole")
    selectivity(weights=(v2,), data=str(data), out=out, **ON_CPU)  # alone it is far from nothing
    assert {row["distance"] for row in rows_of(out)} == {None}
    selectivity(weights=(v1,), data=str(data), out=out, **ON_CPU | {"activity": "absolute"})
    assert measured[2:] == ["one.safetensors"]  # another measure is another row
    assert len(rows_of(out)) == 36


@pytest.mark.usefixtures("undrawn")
def test_other_images_of_the_same_names_are_measured_anew(
    tmp_path: Path, data: Path, v2: str
) -> None:
    other = shutil.copytree(data, tmp_path / "other")
    for path in other.rglob("*.png"):
        Image.open(path).convert("L").convert("RGB").save(path)
    for folder in (data, other):
        selectivity(weights=(v2,), data=str(folder), out=tmp_path / "out", **ON_CPU)
    means = [row["mean"] for row in rows_of(tmp_path / "out")]
    assert len(means) == 24
    assert means[:12] != means[12:]


@pytest.mark.usefixtures("undrawn")
def test_images_that_cannot_be_read_are_left_out_and_a_class_with_them(
    tmp_path: Path, data: Path, v2: str
) -> None:
    (data / "val" / "ant" / "3.png").write_bytes(b"")
    selectivity(weights=(v2,), data=str(data), out=tmp_path / "out", **ON_CPU)
    row = rows_of(tmp_path / "out")[0]
    assert (row["images"], row["unreadable"], row["classes"]) == (7, 1, 2)


@pytest.mark.usefixtures("undrawn")
def test_one_class_that_can_be_read_is_not_enough(tmp_path: Path, data: Path, v2: str) -> None:
    for path in (data / "val").glob("[ac]*/*"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="data: images of only 1 of its classes were read"):
        selectivity(weights=(v2,), data=str(data), out=tmp_path / "out", **ON_CPU)


@pytest.mark.usefixtures("undrawn")
def test_a_part_of_the_images_is_the_same_part_each_time(
    tmp_path: Path, data: Path, v2: str
) -> None:
    for name in ("a", "b"):
        selectivity(weights=(v2,), data=str(data), out=tmp_path / name, num_images=7, **ON_CPU)
    one, other = rows_of(tmp_path / "a"), rows_of(tmp_path / "b")
    assert one == other
    assert one[0]["images"] == 7


@pytest.mark.usefixtures("undrawn")
def test_shuffled_classes_make_channels_less_selective(tmp_path: Path, v2: str) -> None:
    for number in range(24):  # a class is one look, a little noise apart
        save_picture(tmp_path / "data" / f"class{number % 2}" / f"{number}.png", number % 2)
    selectivity(weights=(v2,), data=str(tmp_path / "data"), out=tmp_path / "out", **ON_CPU)
    for row in rows_of(tmp_path / "out"):
        assert row["mean_by_chance"] < row["mean"]


def bad(tmp_path: Path, data: Path, v2: str, /, **options: Any) -> Any:
    given = {"weights": (v2,), "data": str(data), "out": tmp_path / "out", **ON_CPU}
    return selectivity(**given | options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"activity": "relu"}, "unknown activity 'relu': it may be one of: rectified, absolute"),
        ({"num_images": 0}, "num_images 0: at least 1"),
        ({"weights": ()}, "weights: none are given"),
        ({"split": "train"}, "has no folder train"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"image_size": 7}, "image_size 7 x 7: both sides must be at least 8"),
        ({"precision": "fp64"}, "unknown precision"),
    ],
)
def test_bad_options_are_refused(
    tmp_path: Path, data: Path, v2: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        bad(tmp_path, data, v2, **options)
    assert not (tmp_path / "out" / "results.json").exists()


def test_weights_given_twice_are_refused(tmp_path: Path, data: Path, v2: str) -> None:
    with pytest.raises(ValueError, match="are given twice"):
        bad(tmp_path, data, v2, weights=(v2, v2))


def test_data_of_one_class_are_refused(tmp_path: Path, data: Path, v2: str) -> None:
    for name in ("ant", "cat"):
        (data / "val" / name).rename(tmp_path / name)
    with pytest.raises(ValueError, match="only one class, 'bee': two or more are needed"):
        bad(tmp_path, data, v2)


def test_a_class_without_images_is_refused(tmp_path: Path, data: Path, v2: str) -> None:
    (data / "val" / "dog").mkdir()
    with pytest.raises(ValueError, match="class 'dog' is empty"):
        bad(tmp_path, data, v2)


def test_models_of_other_depths_are_refused(tmp_path: Path, data: Path, v2: str) -> None:
    nano = str(save_model(tmp_path / "nano.safetensors", "convnextv2_nano"))
    with pytest.raises(ValueError, match=r"nano.safetensors has 2, 2, 8, 2 blocks in the four"):
        bad(tmp_path, data, v2, weights=(v2, nano))


def test_a_folder_of_another_analysis_is_refused(tmp_path: Path, data: Path, v2: str) -> None:
    fcmae.analyze.diversity(weights=(v2,), data=str(data), out=tmp_path / "out", **ON_CPU)
    with pytest.raises(ValueError, match="measured with other analysis"):
        bad(tmp_path, data, v2)


# Which blocks are drawn, and what the paper's statements come to, with made-up indices

BLOCKS = ("stages.0.0", "stages.1.0", "stages.2.0")


def blocks_of(model: str) -> list[str]:
    depths = size_of(model).depths
    return [f"stages.{stage}.{number}" for stage in range(4) for number in range(depths[stage])]


def test_all_blocks_of_a_small_model_are_drawn() -> None:
    assert drawn_blocks(blocks_of("convnextv2_atto")) == blocks_of("convnextv2_atto")


@pytest.mark.parametrize(("model", "number"), [("convnextv2_nano", 9), ("convnextv2_base", 12)])
def test_of_a_larger_one_three_of_each_stage_are(model: str, number: int) -> None:
    drawn = drawn_blocks(blocks_of(model))
    assert len(drawn) == number
    last = size_of(model).depths[2] - 1
    assert [block for block in drawn if block.startswith("stages.2")] == [
        "stages.2.0",
        f"stages.2.{(last + 1) // 2}",
        f"stages.2.{last}",
    ]


def model_of(
    model: str, *means: float, chance: float = 0.01, spread: float = 0.05
) -> ModelSelectivity:
    """A thousand channels in each of three blocks, spread evenly around a mean."""
    indices, rows = {}, []
    for block, mean in zip(BLOCKS, means, strict=True):
        indices[block] = mean + spread * torch.linspace(-1, 1, 1000, dtype=torch.float64)
        rows.append(
            {
                "block": block,
                "label": model,
                "images": 9000,
                "classes": 10,
                "unreadable": 2,
                "mean_by_chance": chance,
                **summarise(indices[block]),
            }
        )
    return ModelSelectivity(AnalyzedModel(model, model, model, ""), rows, indices)


def said(v1: ModelSelectivity, v2: ModelSelectivity) -> str:
    return " ".join([*compare(v1, v2), summary([v1, v2])])


def test_models_that_part_with_depth_are_as_in_the_paper() -> None:
    text = said(
        model_of("convnext_atto", 0.3, 0.3, 0.3), model_of("convnextv2_atto", 0.31, 0.3, 0.16)
    )
    assert "part with depth: reproduced (distance 0.010 in the first 1 blocks, 0.140" in text
    assert "by chance 0.00" in text
    assert "generic channels in deep layers: reproduced (90% of V2’s" in text
    assert "Measured on 9,000 images of 10 classes (2 more could not be read)." in text


def test_models_that_come_together_are_not() -> None:
    text = said(
        model_of("convnext_atto", 0.3, 0.3, 0.19), model_of("convnextv2_atto", 0.2, 0.3, 0.22)
    )
    assert "part with depth: not reproduced" in text
    assert "generic channels in deep layers: not reproduced" in text


def test_models_that_differ_little_decide_nothing() -> None:
    text = said(
        model_of("convnext_atto", 0.2, 0.3, 0.2), model_of("convnextv2_atto", 0.201, 0.3, 0.2012)
    )
    assert "part with depth: not decidable" in text
    assert "generic channels in deep layers: not decidable" in text


def test_a_distance_that_does_not_grow_decides_nothing() -> None:
    """Few channels are far apart by chance in early blocks, many are not in deep ones."""
    assert part_with_depth(Distance(0.019, 0.024, 0.03), Distance(0.016, 0.009, 0.012)) == UNDECIDED
    assert (
        part_with_depth(Distance(0.015, 0.024, 0.03), Distance(0.016, 0.009, 0.012)) == REPRODUCED
    )


def test_the_same_twice_decides_nothing() -> None:
    v1, v2 = model_of("convnext_atto", 0.3, 0.3, 0.3), model_of("convnextv2_atto", 0.3, 0.3, 0.3)
    assert "part with depth: not decidable" in said(v1, v2)


def test_draws_of_one_distribution_hardly_ever_decide_anything() -> None:
    generator = np.random.default_rng(3)
    v1, v2 = model_of("convnext_atto", 0.3, 0.3, 0.3), model_of("convnextv2_atto", 0.3, 0.3, 0.3)
    undecided = 0
    for _ in range(20):
        for model in (v1, v2):
            for block, channels in zip(BLOCKS, (40, 160, 320), strict=True):
                drawn = torch.from_numpy(generator.uniform(0.1, 0.5, channels))
                model.indices[block] = drawn  # type: ignore[index]
        undecided += "part with depth: not decidable" in said(v1, v2)
    assert undecided >= 17


def test_models_that_are_far_apart_from_the_first_do_not_match_early() -> None:
    text = said(
        model_of("convnext_atto", 0.6, 0.3, 0.8), model_of("convnextv2_atto", 0.2, 0.3, 0.15)
    )
    assert "part with depth: not decidable at this scale (distance 0.400" in text


def test_so_few_images_that_chance_would_do_decide_nothing() -> None:
    text = said(
        model_of("convnext_atto", 0.3, 0.3, 0.3),
        model_of("convnextv2_atto", 0.3, 0.3, 0.1, chance=0.06),
    )
    assert "not decidable at this scale, with so few images a class" in text
    assert "part with depth" not in text


def test_silent_blocks_decide_nothing_and_are_not_drawn() -> None:
    v1, v2 = model_of("convnext_atto", 0.3, 0.3, 0.3), model_of("convnextv2_atto", 0.3, 0.3, 0.3)
    nothing = torch.full((7,), torch.nan, dtype=torch.float64)
    v2.indices[BLOCKS[2]] = nothing  # type: ignore[index]
    v2.rows[2] |= summarise(nothing) | {"mean_by_chance": None}
    assert "not decidable at this scale: all channels of a block are silent" in said(v1, v2)
    assert [len(plot.series) for plot in density_plots([v1, v2])[0]] == [2, 2, 1]
    assert list(page([v1, v2], "absolute").table.rows[5])[1:] == ["7", "7", "", "", "", "", "", ""]


def test_silent_channels_count_as_nothing_else() -> None:
    index = torch.tensor([torch.nan, 0.1, 0.9, torch.nan, 0.3], dtype=torch.float64)
    assert summarise(index) == {
        "channels": 5,
        "silent": 2,
        "mean": pytest.approx(1.3 / 3),
        "median": pytest.approx(0.3),
        "below_0.2": pytest.approx(1 / 3),
        "above_0.5": pytest.approx(1 / 3),
    }
