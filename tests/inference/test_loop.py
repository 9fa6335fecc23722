"""The loop over all images: each once and in order, several tensors of each, whatever it meets."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fcmae.images import EncodedSet, FileSource, decode, evaluation_crop
from fcmae.inference.loop import (
    NonFiniteOutput,
    Outputs,
    Preprocessing,
    evaluating,
    forward_in_order,
    pooled,
    require_some,
)
from fcmae.models.encoder import Encoder
from fcmae.training.devices import Runtime

MEAN, STD = (0.4, 0.5), (0.2, 0.3)
PREPROCESSING = Preprocessing((8, 12), 2, MEAN, STD, batch_size=2, workers=0)
CPU = Runtime(torch.device("cpu"), "fp32")


@pytest.fixture
def images(tmp_path: Path) -> EncodedSet:
    """Five of noise."""
    draw = np.random.default_rng(0)
    for number in range(5):
        noise = draw.integers(0, 255, (9 + number, 13, 2), dtype=np.uint8)
        np.save(tmp_path / f"{number}.npy", noise)
    return EncodedSet(FileSource(sorted(tmp_path.iterdir()), tmp_path))


def normalised(images: EncodedSet, index: int) -> Tensor:
    pixels = evaluation_crop(decode(images.root / images.name(index), 2), (8, 12))
    return (pixels - torch.tensor(MEAN).view(-1, 1, 1)) / torch.tensor(STD).view(-1, 1, 1)


def several(pixels: Tensor) -> Sequence[Tensor]:
    """Tensors of different shapes, one of them in double precision."""
    return [pixels, pixels.double().mean((2, 3)), pixels.amax((1, 2, 3))]


def test_all_tensors_of_every_image_come_in_order(images: EncodedSet) -> None:
    batches = list(forward_in_order(several, images, PREPROCESSING, CPU))
    assert [output.indices for output in batches] == [[0, 1], [2, 3], [4]]
    whole = [torch.cat(tensors) for tensors in zip(*(o.tensors for o in batches), strict=True)]
    assert [tensor.shape for tensor in whole] == [(5, 2, 8, 12), (5, 2), (5,)]
    assert {tensor.dtype for tensor in whole} == {torch.float32}
    for index in range(5):
        expected = normalised(images, index)
        torch.testing.assert_close(whole[0][index], expected)
        torch.testing.assert_close(whole[1][index], expected.mean((1, 2)))
        torch.testing.assert_close(whole[2][index], expected.amax())


def test_a_single_tensor_needs_no_list(images: EncodedSet) -> None:
    outputs = forward_in_order(lambda pixels: pixels.mean((2, 3)), images, PREPROCESSING, CPU)
    assert [len(output.tensors) for output in outputs] == [1, 1, 1]


def test_unreadable_files_are_left_out_and_named(images: EncodedSet) -> None:
    for number in (1, 2, 3):
        (images.root / f"{number}.npy").write_bytes(b"")
    batches = list(forward_in_order(several, images, PREPROCESSING, CPU))
    assert batches[1] == Outputs([], [], [("2.npy", "empty file"), ("3.npy", "empty file")])
    assert [output.indices for output in batches] == [[0], [], [4]]
    assert batches[0].unreadable == [("1.npy", "empty file")]
    torch.testing.assert_close(batches[2].tensors[0][0], normalised(images, 4))


def test_where_none_can_be_read_the_first_is_named(images: EncodedSet) -> None:
    require_some(1, images, {"0.npy": "empty file"}, 2)
    message = r"^data: none of the 5 images can be read \(0\.npy: empty file\): give .* 2 channels$"
    with pytest.raises(ValueError, match=message):
        require_some(0, images, {"0.npy": "empty file", "1.npy": "another"}, 2)


def test_processes_share_the_batches(images: EncodedSet) -> None:
    shares = []
    for rank in range(2):
        runtime = Runtime(torch.device("cpu"), "fp32", rank, 2)
        found = forward_in_order(several, images, PREPROCESSING, runtime)
        shares.append([output.indices for output in found])
    assert shares == [[[0, 1], [4]], [[2, 3]]]


@pytest.mark.parametrize("which", [0, 1, 2])
def test_what_is_no_number_names_the_image(images: EncodedSet, which: int) -> None:
    def broken(pixels: Tensor) -> Sequence[Tensor]:
        tensors = several(pixels)
        if len(pixels) == 1:
            tensors[which][0] = torch.nan
        return tensors

    with pytest.raises(NonFiniteOutput, match=r"^weights: their output for 4\.npy is not a number"):
        list(forward_in_order(broken, images, PREPROCESSING, CPU))


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_networks_compute_in_the_precision_of_the_place(
    images: EncodedSet, precision: str, dtype: torch.dtype
) -> None:
    layer, seen = nn.Linear(12, 3), set()

    def forward(pixels: Tensor) -> Tensor:
        values = layer(pixels)
        seen.add((values.dtype, values.requires_grad))
        return values

    runtime = Runtime(torch.device("cpu"), precision)
    (first, *_) = forward_in_order(forward, images, PREPROCESSING, runtime)
    assert seen == {(dtype, False)}
    assert first.tensors[0].dtype == torch.float32


def test_features_are_averaged_in_float32() -> None:
    network, images = Encoder("convnextv2_atto", stem_stride=1).eval(), torch.randn(2, 3, 16, 24)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        found = pooled(network, images)
        expected = network.features(images)[-1].float().mean((2, 3))
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_the_modes_of_networks_are_as_before() -> None:
    networks = [nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout())) for _ in range(2)]
    networks[1][1].eval()
    before = [part.training for network in networks for part in network.modules()]
    with evaluating(*networks):
        assert not any(part.training for network in networks for part in network.modules())
    assert [part.training for network in networks for part in network.modules()] == before
