"""What models are called, and which of them are compared."""

from pathlib import Path

import pytest
import torch

from fcmae.analyze.models import (
    AnalyzedModel,
    Result,
    labelled,
    read_backbones,
    thirds,
    v1_and_v2,
)
from fcmae.commands.shared import Reading


@pytest.mark.parametrize(
    ("paths", "labels"),
    [
        (["runs/a"], ["a"]),
        (["runs/a/weights.safetensors", "runs/b"], ["a", "b"]),
        (["one/run/best.safetensors", "two/run/best.safetensors"], ["one", "two"]),
        (["x/a/seed-0/pretrain", "y/b/seed-0/pretrain"], ["a", "b"]),
        (["x/a/pretrain", "y/a/pretrain"], ["x", "y"]),
        (["x/a/one", "y/a/one", "y/a/two"], ["x/a/one", "y/a/one", "y/a/two"]),
    ],
)
def test_a_label_is_the_shortest_end_that_tells_apart(paths: list[str], labels: list[str]) -> None:
    assert labelled(paths) == list(zip(paths, labels, strict=True))


def test_a_run_and_its_weights_are_the_same() -> None:
    with pytest.raises(ValueError, match="weights runs/a are given twice"):
        labelled(["runs/a", "runs/b", "runs/a/weights.safetensors"])


def test_a_digest_is_of_the_values(v1: str, v2: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(Path(v1).read_bytes())
    paths, options = (v2, v1, copy), Reading(image_size=48, workers=0)
    one, same, other = read_backbones(paths, options, torch.device("cpu"))  # V1 comes first
    assert one.digest == same.digest != other.digest
    assert [model.preprocessing.size for model in (one, other)] == [(48, 48), (48, 48)]
    assert other.title == "two.safetensors (convnextv2_atto)"
    assert (other.blocks[0], other.blocks[-1]) == ("stages.0.0", "stages.3.1")


def test_the_first_of_each_version_are_compared() -> None:
    names = ("convnextv2_nano", "convnext_tiny", "convnextv2_atto", "convnext_atto")
    results = [Result(AnalyzedModel(name, name, name, "")) for name in names]
    assert v1_and_v2(results) == (results[1], results[0])
    assert v1_and_v2(results[::2]) is None


@pytest.mark.parametrize(("number", "third"), [(1, 1), (2, 1), (12, 4), (14, 4), (36, 12)])
def test_thirds_are_of_one_block_at_least(number: int, third: int) -> None:
    blocks = [str(place) for place in range(number)]
    assert thirds(blocks) == (blocks[:third], blocks[-third:])
