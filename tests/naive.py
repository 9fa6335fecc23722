"""The encoder on masked images, site by site, from the paper's definition.

A feature map is a dictionary from the place of each visible site to its vector. A site that is not
in it does not exist: no kernel reads it, no norm counts it. This is a sparse convolutional network
in the plainest form, slow and differentiable; it shares nothing with the package but the weights.
"""

import torch
from torch import Tensor, nn

Place = tuple[int, int, int]  # image, row, column
Map = dict[Place, Tensor]  # [C] each


def encode(encoder: nn.Module, images: Tensor, cells: Tensor) -> Tensor:
    """The last stage at visible cells, by image, row and column: [M, C_4].

    `images` are [B, in_channels, H, W]; `cells` is bool [B, h, w], True where masked.
    """
    side = images.shape[2] // cells.shape[1]
    x = {
        (image, row, column): images[image, :, row, column]
        for image, row, column in torch.cartesian_prod(
            *(torch.arange(n) for n in (images.shape[0], *images.shape[2:]))
        ).tolist()
        if not cells[image, row // side, column // side]
    }
    for stage, (downsample, blocks) in enumerate(
        zip(encoder.downsample_layers, encoder.stages, strict=True)
    ):
        first, second = downsample
        x = norm(squares(x, first), second) if stage == 0 else squares(norm(x, first), second)
        for each in blocks:
            x = block(x, each)
    return torch.stack([x[place] for place in sorted(x)])


def block(x: Map, layer: nn.Module) -> Map:
    y = norm(depthwise(x, layer.dwconv), layer.norm)
    y = {place: gelu(linear(vector, layer.pwconv1)) for place, vector in y.items()}
    if layer.grn is not None:
        y = response_norm(y, layer.grn)
    y = {place: linear(vector, layer.pwconv2) for place, vector in y.items()}
    if layer.gamma is not None:
        y = {place: layer.gamma * vector for place, vector in y.items()}
    return {place: x[place] + y[place] for place in x}


def depthwise(x: Map, conv: nn.Conv2d) -> Map:
    """Each output site sums over the kernel's taps that lie on a site that exists."""
    out = {}
    kernel = conv.weight.shape[2]
    taps = [row.unbind(1) for row in conv.weight[:, 0].unbind(1)]  # [k][k] of [C]
    for image, row, column in x:
        terms = []
        for i in range(kernel):
            for j in range(kernel):
                neighbour = (image, row + i - kernel // 2, column + j - kernel // 2)
                if neighbour in x:
                    terms.append((taps[i][j], x[neighbour]))
        weights, values = map(torch.stack, zip(*terms, strict=True))
        out[image, row, column] = (weights * values).sum(0) + conv.bias
    return out


def squares(x: Map, conv: nn.Conv2d) -> Map:
    """A convolution whose stride is its kernel: each square of sites gives one."""
    stride = conv.weight.shape[2]
    out: Map = {}
    for (image, row, column), vector in x.items():
        place = (image, row // stride, column // stride)
        tap = conv.weight[:, :, row % stride, column % stride]  # [out, in]
        out[place] = out.get(place, conv.bias) + tap @ vector
    return out


def norm(x: Map, layer: nn.LayerNorm) -> Map:
    out = {}
    for place, vector in x.items():
        centred = vector - vector.mean()
        deviation = (centred.square().mean() + 1e-6).sqrt()
        out[place] = layer.weight * centred / deviation + layer.bias
    return out


def response_norm(x: Map, grn: nn.Module) -> Map:
    """gamma * X * N(G(X)) + beta + X, with G over the sites of one image."""
    out = {}
    gamma, beta = grn.gamma.flatten(), grn.beta.flatten()
    for image in {place[0] for place in x}:
        own = {place: vector for place, vector in x.items() if place[0] == image}
        aggregated = torch.stack(list(own.values())).norm(dim=0)  # [C], L2 over sites
        normalised = aggregated / (aggregated.mean() + 1e-6)
        out |= {place: gamma * (v * normalised) + beta + v for place, v in own.items()}
    return out


def linear(vector: Tensor, layer: nn.Linear) -> Tensor:
    return layer.weight @ vector + layer.bias


def gelu(vector: Tensor) -> Tensor:
    return vector * 0.5 * (1 + torch.erf(vector / 2**0.5))
