"""The fully convolutional masked autoencoder. This file is the method's figure."""

from dataclasses import dataclass

from torch import Tensor, nn

from fcmae.models.decoder import Decoder
from fcmae.models.encoder import Encoder
from fcmae.models.loss import normalise, patchify, reconstruction_loss
from fcmae.models.masks import check_mask, check_patch_size, patch_grid
from fcmae.models.responses import USUAL


@dataclass(frozen=True, slots=True)
class Output:
    """What a pass gives. Predicting visible cells costs something, so it waits to be asked."""

    loss: Tensor  # scalar
    decoded: Tensor  # [B, h, w, decoder width]
    decoder: Decoder

    @property
    def prediction(self) -> Tensor:
        """Every cell's pixels, normalised as the target is: [B, h, w, 32 * 32 * in_channels]."""
        return self.decoder.predict(self.decoded)


class Autoencoder(nn.Module):
    """An encoder of what is visible and a decoder of what is not (section 3).

    Args:
        model: a name of `fcmae.list_models()`, V1 or V2.
        in_channels: channels of the images.
        patch_size: pixels a side of what is masked together; any multiple of the total stride, 8
            times the stem's. None: the total stride, 32 with the paper's stem.
        stem_stride: 4 as in the paper; 1 or 2 for images of 32 to 96 pixels.
        decoder_width: channels of the decoder (section 3: 512).
        decoder_depth: blocks of the decoder (section 3: 1).
        norm_pix: whether targets are normalised within each cell.
        response: what the encoder's blocks have in GRN's place, of `fcmae.models.responses`; the
            decoder's keep GRN.
    """

    def __init__(
        self,
        model: str = "convnextv2_atto",
        *,
        in_channels: int = 3,
        patch_size: int | None = None,
        stem_stride: int = 4,
        decoder_width: int = 512,
        decoder_depth: int = 1,
        norm_pix: bool = True,
        response: str = USUAL,
    ) -> None:
        super().__init__()
        self.encoder = encoder = Encoder(
            model, in_channels=in_channels, stem_stride=stem_stride, response=response
        )
        self.patch_size = check_patch_size(patch_size, encoder.stride)
        values = encoder.stride**2 * in_channels
        self.decoder = Decoder(encoder.widths[-1], values, width=decoder_width, depth=decoder_depth)
        self.norm_pix = norm_pix

    def forward(self, images: Tensor, mask: Tensor, mode: str = "tiled") -> Output:
        """One pass.

        Args:
            images: [B, in_channels, H, W], normalised, H and W multiples of the patch size.
            mask: bool [B, H / patch_size, W / patch_size], True where masked.
            mode: how the encoder runs: "tiled", or "masked", which defines it.
        """
        check_mask(mask, self.grid(*images.shape[2:]), len(images))
        cells = self.encoder.cells(images, mask)  # [B, h, w]
        visible = self.encoder.visible(images, cells, mode)  # [M, C_4]
        decoded = self.decoder(visible, cells)  # [B, h, w, width]
        prediction = self.decoder.predict(decoded[cells])  # masked cells alone
        loss = reconstruction_loss(prediction, self.target(images, cells))
        return Output(loss, decoded, self.decoder)

    def target(self, images: Tensor, cells: Tensor) -> Tensor:
        """The pixels of masked cells, as they should be predicted: [N, values]."""
        pixels = patchify(images, self.encoder.stride)[cells]
        return normalise(pixels) if self.norm_pix else pixels

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of patches; an image's sides must be multiples of the patch size."""
        return patch_grid(height, width, self.patch_size)


create_autoencoder = Autoencoder
