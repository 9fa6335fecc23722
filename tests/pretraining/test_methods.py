"""A third method needs a file and a row, and nothing else: here one that shows grey for masks."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import fcmae
from fcmae.commands.pretrain import Pretrain
from fcmae.images import Batch, RandomView
from fcmae.images.fixed_images import Pictures
from fcmae.models.encoder import Encoder
from fcmae.models.loss import patchify
from fcmae.models.masks import enlarge, patch_grid, random_mask
from fcmae.pretraining import masked, methods
from fcmae.pretraining.masked import MaskedPlan
from fcmae.pretraining.plan import Method
from fcmae.training.task import Follower
from fcmae.weights import LoadReport, load_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class GreyPlan(MaskedPlan):
    """As of masked pre-training."""

    def learner(self, pictures: Pictures | None, out: Path) -> Any:
        """A dense encoder, and a linear layer."""
        return GreyLearner(self)


class Grey(nn.Module):
    """Every pixel of a masked patch, told by one layer from an image in which it is grey."""

    def __init__(self, plan: GreyPlan) -> None:
        super().__init__()
        self.encoder = Encoder(
            plan.model, in_channels=plan.in_channels, stem_stride=plan.stem_stride
        )
        pixels = plan.in_channels * self.encoder.stride**2
        self.head = nn.Linear(self.encoder.widths[-1], pixels)

    def forward(self, images: Tensor, mask: Tensor) -> Tensor:
        """The mean difference."""
        seen = images.masked_fill(enlarge(mask, self.encoder.stride).unsqueeze(1), 0.0)
        found = self.head(self.encoder.features(seen)[-1].permute(0, 2, 3, 1))  # [B, h, w, pixels]
        return (found - patchify(images, self.encoder.stride))[mask].abs().mean()


class GreyLearner:
    """See `Grey`."""

    followers: tuple[Follower, ...] = ()

    def __init__(self, plan: GreyPlan) -> None:
        self.plan, self.view, self.module = plan, RandomView(plan.image_size), Grey(plan)

    @property
    def encoder(self) -> Encoder:
        return self.module.encoder

    def load(self, path: str, key: str | None) -> LoadReport:
        return load_weights(self.encoder, path, key=key)

    def prepare(self, batch: Batch, pixels: Tensor) -> tuple[Tensor, Tensor]:
        grid = patch_grid(*self.plan.image_size, self.plan.patch_size)
        generator = torch.Generator().manual_seed(batch.step)
        return pixels, random_mask(len(pixels), grid, self.plan.mask_ratio, generator)

    def loss(self, module: nn.Module, images: Tensor, other: Tensor) -> Tensor:
        loss: Tensor = module(images, other)
        return loss

    def observe(self, epoch: int) -> dict[str, Any]:
        return {}


def make_plan(options: Pretrain, common: Mapping[str, Any]) -> GreyPlan:
    plan = masked.make_plan(options, common)
    return GreyPlan(**{field.name: getattr(plan, field.name) for field in fields(plan)})


def test_a_third_method_is_a_file_and_a_row(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {field.name: getattr(masked.METHOD, field.name) for field in fields(Method)}
    values |= {"source": "a table", "plan": make_plan}
    own: Any = SimpleNamespace(METHOD=Method(**values))
    monkeypatch.setitem(methods.METHODS, "grey", "grey")
    monkeypatch.setitem(sys.modules, "grey", own)
    out = fcmae.pretrain(
        method="grey", data=str(folder), out=str(tmp_path / "run"), epochs=2, batch_size=8,
        image_size="32x48", stem_stride=2, workers=0, device="cpu",
    )  # fmt: skip
    config = json.loads((out / "config.json").read_text())
    assert (config["method"], config["mask_ratio"], config["steps"]) == ("grey", 0.6, 6)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines].count("step") == 6
    model = fcmae.create_model(num_classes=5, stem_stride=2)
    missing, unexpected = model.load_state_dict(
        load_file(out / "weights.safetensors"), strict=False
    )
    assert (len(missing), unexpected) == (4, [])
    fcmae.pretrain(out=str(out), resume=True, dry_run=True)
