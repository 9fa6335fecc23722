"""What models are called, and which of them are compared."""

from pathlib import Path

import pytest
import torch

from fcmae.analyze.comparison import pair_of, thirds, v1_first
from fcmae.analyze.models import labels_of, read_models


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
    assert labels_of(paths) == labels


def test_a_run_and_its_weights_are_the_same() -> None:
    with pytest.raises(ValueError, match="weights runs/a are given twice"):
        labels_of(["runs/a", "runs/b", "runs/a/weights.safetensors"])


def test_a_digest_is_of_the_values(v1: str, v2: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(Path(v1).read_bytes())
    options = {"weights": (v2, v1, str(copy)), "key": None, "image_size": 48}
    one, same, other = read_models(options, torch.device("cpu"))
    assert one.digest == same.digest != other.digest
    assert [model.preprocessing.size for model in (one, other)] == [(48, 48), (48, 48)]
    assert other.title == "two.safetensors (convnextv2_atto)"
    assert (other.blocks[0], other.blocks[-1]) == ("stages.0.0", "stages.3.1")


def test_v1_comes_first_and_the_first_of_each_kind_are_compared() -> None:
    names = ["convnextv2_nano", "convnext_tiny", "convnextv2_atto", "convnext_atto"]
    assert v1_first(names, str) == [names[1], names[3], names[0], names[2]]
    assert pair_of(names, str) == ("convnext_tiny", "convnextv2_nano")
    assert pair_of(names[::2], str) is None


@pytest.mark.parametrize(("number", "third"), [(1, 1), (2, 1), (12, 4), (14, 4), (36, 12)])
def test_thirds_are_of_one_block_at_least(number: int, third: int) -> None:
    blocks = [str(place) for place in range(number)]
    assert thirds(blocks) == (blocks[:third], blocks[-third:])
