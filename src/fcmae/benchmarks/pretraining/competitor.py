"""timm's classifier of the same name: what a dense step costs in the library that most use."""

import torch
from torch import Tensor

from fcmae.benchmarks.arithmetic import CLASSES
from fcmae.training.devices import Place


class Competitor:
    """Supervised training of timm's model as it comes: cross entropy, AdamW, eager.

    Args:
        model: a name of `fcmae.list_models()`; timm has the same ones.
        images: [B, 3, H, W].
        place: where to compute; the model is put there.
    """

    def __init__(self, model: str, images: Tensor, place: Place) -> None:
        import timm

        self.images, self.place = images, place
        self.model = timm.create_model(model, num_classes=CLASSES).to(place.device).train()
        self.labels = torch.arange(len(images), device=place.device) % CLASSES
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-5, fused=True)

    def step(self, *, update: bool) -> None:
        """Forward, backward and, where wanted, the update; gradients must be None before."""
        self.loss().backward()  # type: ignore[no-untyped-call]
        if update:
            self.optimizer.step()

    def loss(self) -> Tensor:
        """The forward pass."""
        with self.place.autocast():
            return torch.nn.functional.cross_entropy(self.model(self.images), self.labels)
