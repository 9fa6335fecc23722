"""The classifier: the backbone, global average pooling, LayerNorm and a linear head."""

from torch import Tensor, nn

from fcmae.models.encoder import Backbone
from fcmae.models.layers import LayerNorm, initialise
from fcmae.models.responses import USUAL


class Classifier(Backbone):
    """ConvNeXt for classification, with the authors' names: their released files load strictly.

    Args:
        model: a name of `fcmae.list_models()`.
        num_classes: classes of the head.
        in_channels: channels of the images.
        stem_stride: 4 as in the paper; 1 or 2 for images of 32 to 96 pixels.
        drop_path: stochastic depth of the last block; linear from 0 at the first.
        head_init: factor of the head's initial weights (Tables 2-6: 0.001).
        response: what V2's blocks have in GRN's place, of `fcmae.models.responses`.
    """

    def __init__(
        self,
        model: str = "convnextv2_atto",
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        stem_stride: int = 4,
        drop_path: float = 0.0,
        head_init: float = 1.0,
        response: str = USUAL,
    ) -> None:
        super().__init__(
            model,
            in_channels=in_channels,
            stem_stride=stem_stride,
            drop_path=drop_path,
            response=response,
        )
        if num_classes < 1:
            raise ValueError(f"num_classes {num_classes} is not a number of classes: 1 or more")
        self.norm = LayerNorm(self.widths[-1])
        self.head = nn.Linear(self.widths[-1], num_classes)
        self.apply(initialise)
        self.head.weight.data.mul_(head_init)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, in_channels, H, W], sides of 8s pixels or more -> logits [B, num_classes]."""
        self.check_images(images)
        last = self.run(images.permute(0, 2, 3, 1), [None] * 4)[-1]  # [B, h, w, C_4]
        logits: Tensor = self.head(self.norm(last.mean(dim=(1, 2))))
        return logits


create_model = Classifier
