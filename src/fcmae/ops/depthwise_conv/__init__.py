"""Depthwise convolution over visible sites."""
