"""Benchmarks that take a case as a value, with its fields as keywords: what a part calls."""

from collections.abc import Iterator

import torch

from fcmae.benchmarks.inference.classifiers import InferenceCase, measure_inference
from fcmae.benchmarks.pretraining.graphs import time_graph
from fcmae.benchmarks.pretraining.opponents import time_opponent
from fcmae.benchmarks.pretraining.workload import Case
from fcmae.devices import Place
from fcmae.gpu.isolation import Row

MASK_RATIO = 0.6  # the paper's


def opponent(
    device: torch.device,
    *,
    opponent: str,
    model: str,
    batch_size: int,
    image_size: int = 224,
    precision: str = "bf16",
) -> Iterator[Row]:
    """`time_opponent`, its case in keywords."""
    case = Case(model, image_size, batch_size, MASK_RATIO, precision)
    yield from time_opponent(opponent, case, device)


def graph(
    device: torch.device,
    *,
    model: str,
    batch_size: int,
    image_size: int = 224,
    precision: str = "bf16",
) -> Iterator[Row]:
    """`time_graph`, its case in keywords."""
    yield from time_graph(Case(model, image_size, batch_size, MASK_RATIO, precision), device)


def inference(
    device: torch.device,
    *,
    model: str,
    batch_size: int,
    image_size: int = 224,
    precision: str = "bf16",
    repeats: int = 15,
) -> Iterator[Row]:
    """`measure_inference` of eager models, its case in keywords."""
    case = InferenceCase(model, image_size, batch_size, precision)
    yield from measure_inference(case, Place(device, precision), repeats, compiled=False)
