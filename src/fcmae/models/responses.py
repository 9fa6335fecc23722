"""What a block of V2 may have in GRN's place, to compare with it (appendix D: figure 6, Table 9).

X are the widened channels after GELU, channels last. Like GRN, each module is called with the sites
that X has, and masked sites enter nothing. GRN itself is in `fcmae.models.layers`.

| response  | what follows                                   | source          |
| --------- | ---------------------------------------------- | --------------- |
| grn       | gamma * X * N(G(X)) + beta + X                 | Table 9 (d)     |
| none      | X                                              | figure 6        |
| layer     | gamma * (X - mean) / deviation + beta          | figure 6, "LN"  |
| batch     | the same over the sites of a batch             | figure 6, "BN"  |
| local     | X divided by what neighbouring channels say    | figure 6, "LRN" |
| scale     | gamma * X + beta + X                           | Table 9 (a)     |
| aggregate | gamma * X * G(X) + beta + X                    | Table 9 (b)     |
| normalise | gamma * X * N(X) + beta + X                    | Table 9 (c)     |

Table 9 leaves out affine parameters and residual; they are GRN's, with gamma and beta 0 at first.
Figure 6's layers stand there as they are known: no residual, and gamma 1 at first.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fcmae.errors import unknown
from fcmae.models.perceptron import wide
from fcmae.ops.response_norm.reference import EPSILON, root, sum_of_squares
from fcmae.ops.tiles import Sites, Tiles, hide, spread
from fcmae.sizes import is_v2

USUAL, NONE = "grn", "none"
NEIGHBOURS, ALPHA, BETA, K = 5, 1e-4, 0.75, 2.0  # n, alpha, beta and k of Krizhevsky et al. 2012


class Affine(nn.Module):
    """A scale gamma and a shift beta for each channel, in GRN's names and shapes."""

    scale = 0.0  # gamma at first

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((1, 1, 1, channels), self.scale))
        self.beta = nn.Parameter(torch.zeros(1, 1, 1, channels))


class LayerResponse(Affine):
    """LayerNorm over the widened channels of each site; eps 1e-6, as in the rest of the block."""

    scale = 1.0

    def forward(self, x: Tensor, sites: Sites) -> Tensor:
        """X [.., .., .., C] -> the same shape."""
        gamma, beta = self.gamma.flatten(), self.beta.flatten()
        return F.layer_norm(x, gamma.shape, gamma, beta, eps=1e-6)


class BatchResponse(Affine):
    """BatchNorm over the visible sites of all images that are passed together; eps 1e-5.

    In evaluation mode by running statistics, which move by a tenth at each pass (PyTorch's
    momentum). Each process has its own sites, and blocks that are recomputed in the backward pass
    move the statistics twice.
    """

    scale = 1.0
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor, sites: Sites) -> Tensor:
        """X [.., .., .., C] -> the same shape, zero at masked sites.

        Raises:
            ValueError: for one site to train on, which has no variance.
        """
        visible = x[~sites[..., 0]] if isinstance(sites, Tensor) else x.flatten(0, 2)  # [V, C]
        if self.training and len(visible) < 2:
            raise ValueError(
                "response batch: the batch has one visible site, which has no variance: take more "
                "images at a time, or a lower mask ratio"
            )
        normed = F.batch_norm(
            visible,
            self.running_mean,
            self.running_var,
            self.gamma.flatten(),
            self.beta.flatten(),
            training=self.training,
        )
        if not isinstance(sites, Tensor):
            return normed.view(x.shape)
        out = normed.new_zeros(x.shape)
        out[~sites[..., 0]] = normed
        return out


class LocalResponse(nn.Module):
    """Local response normalisation: X_i / (k + alpha * sum of X_j^2 over 5 channels around i)^beta.

    With the constants of Krizhevsky et al. 2012 (section 3.3): n = 5, alpha = 1e-4, beta = 0.75,
    k = 2. It has no parameters. PyTorch's alpha is that of a mean, hence five times as large.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor, sites: Sites) -> Tensor:
        """X [.., .., .., C] -> the same shape."""
        columns = wide(x).flatten(0, 2).unsqueeze(2)  # [V, C, 1]
        normed = F.local_response_norm(columns, NEIGHBOURS, NEIGHBOURS * ALPHA, BETA, K)
        return normed.view(x.shape).to(x.dtype)


class ScaleResponse(Affine):
    """gamma * X + beta + X: scale and shift without a norm, Table 9 (a)."""

    def forward(self, x: Tensor, sites: Sites) -> Tensor:
        """X [.., .., .., C] -> the same shape."""
        return (x * (1 + self.gamma) + self.beta).to(x.dtype)


class AggregateResponse(Affine):
    """gamma * X * G(X) + beta + X, G each channel's L2 norm over an image's sites: Table 9 (b)."""

    def forward(self, x: Tensor, sites: Sites) -> Tensor:
        """X [.., .., .., C] -> the same shape."""
        squares = sum_of_squares(hide(x, sites))  # [B or M, C]
        if isinstance(sites, Tiles):
            of_images = squares.new_zeros(sites.grid[0], squares.shape[1])
            squares = of_images.index_add(0, sites.image, squares)
        factor = 1 + self.gamma.flatten() * root(squares)  # [B, C]
        return (x * spread(factor, sites) + self.beta).to(x.dtype)


class NormaliseResponse(Affine):
    """gamma * X * N(X) + beta + X, N(X)_i = X_i / (mean over j of X_j + 1e-6): Table 9 (c).

    Each site is normalised by itself, since nothing is aggregated. N is GRN's, but what it divides
    by is a mean of norms there, and of values of either sign here: it may be anything near 0.
    """

    def forward(self, x: Tensor, sites: Sites) -> Tensor:
        """X [.., .., .., C] -> the same shape."""
        exact = wide(hide(x, sites))
        factor = 1 + self.gamma * exact / (exact.mean(3, keepdim=True) + EPSILON)
        return (exact * factor + self.beta).to(x.dtype)


OTHERS: dict[str, type[nn.Module]] = {
    "layer": LayerResponse,
    "batch": BatchResponse,
    "local": LocalResponse,
    "scale": ScaleResponse,
    "aggregate": AggregateResponse,
    "normalise": NormaliseResponse,
}
RESPONSES = (USUAL, NONE, *OTHERS)


def check_response(model: str, response: str) -> None:
    """Refuse a response that is unknown, or that `model` has no place for.

    Raises:
        ValueError: with the nearest name, or what to do instead.
    """
    if response not in RESPONSES:
        raise unknown("response", response, RESPONSES)
    if response != USUAL and not is_v2(model):
        raise ValueError(
            f"response {response}: {model} has no GRN whose place it could take: leave it out, or "
            "choose a model of V2"
        )
