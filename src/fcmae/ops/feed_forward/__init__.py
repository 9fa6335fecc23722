"""What follows the convolution in a block: LayerNorm, linear, GELU, GRN, linear."""
