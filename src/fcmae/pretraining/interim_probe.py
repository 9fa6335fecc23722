"""The nearest neighbours of an encoder that is being trained: on which images, and when."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fcmae.commands.pretrain import Pretrain
from fcmae.images import Labelled, TooManyUnreadable, open_splits
from fcmae.images.fixed_images import choose
from fcmae.inference.loop import Preprocessing
from fcmae.models.encoder import Backbone
from fcmae.probes.knn import knn_accuracy
from fcmae.storage.digest import digest_of_names
from fcmae.training.devices import Runtime
from fcmae.training.plan import Plan
from fcmae.training.start import OpenedRun, refuse_inside

K = 20  # neighbours (appendix D)
BATCH = 64  # images at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class InterimProbe:
    """Labelled images, on which accuracies are measured as a run goes on.

    Attributes:
        data: where they are.
        train: where neighbours are looked for.
        val: what is classified.
        every: epochs from one measurement to the next.
        image_size: height and width, in pixels.
        mean: of each channel, in units of 0..1, as in training.
        std: likewise.
        workers: processes that read ahead.
    """

    data: str
    train: Labelled
    val: Labelled
    every: int
    image_size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    workers: int

    def is_due(self, epoch: int, epochs: int) -> bool:
        """Whether to measure after an epoch: before the first, 0, and after the last always."""
        return epoch % self.every == 0 or epoch == epochs

    def measure(self, encoder: Backbone, runtime: Runtime) -> dict[str, Any]:
        """What belongs into the metrics; nothing that the training depends on is changed.

        Raises:
            ValueError: if too many of the images can no longer be read.
        """
        try:
            preprocessing = Preprocessing(
                size=self.image_size,
                channels=encoder.in_channels,
                mean=self.mean,
                std=self.std,
                batch_size=BATCH,
                workers=self.workers,
            )
            found = knn_accuracy(encoder, self.train, self.val, preprocessing, runtime, K)
        except TooManyUnreadable as error:  # which are not the images that are trained on
            raise ValueError(f"probe_{error}") from error
        return {"k": K, **found._asdict()}

    def in_words(self) -> str:
        """What `--dry-run` and every run print of it."""
        every = "every epoch" if self.every == 1 else f"every {self.every} epochs"
        return (
            f"{self.data}: {len(self.train)} images of {len(self.train.classes)} classes, "
            f"{len(self.val)} to classify; {every}"
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON: what the accuracies of a run are measured on."""
        splits = (self.train, self.val)
        names = [part.name(index) for part in splits for index in range(len(part))]
        return {
            "data": self.data,
            "images": [len(part) for part in splits],
            "classes": len(self.train.classes),
            "names": digest_of_names(names),
        }


def open_probe(opened: OpenedRun[Pretrain], plan: Plan, workers: int) -> InterimProbe | None:
    """The probe that the options ask for, once its images can be read.

    Args:
        opened: `probe_data` and `probe_every` count.
        plan: of the run.
        workers: processes that read ahead.

    Raises:
        ValueError: naming the option that cannot be.
    """
    every, data = opened.options.probe_every, opened.options.probe_data
    if data is None and every is None:
        return None
    if data is None:
        raise ValueError(
            f"probe_every {every} needs --probe-data, a folder of DIR/train/CLASS and "
            "DIR/val/CLASS, or sample; or leave it out"
        )
    if every is None:
        raise ValueError(f"probe_data {data} needs --probe-every, a number of epochs: 1, say")
    if every < 1:
        raise ValueError(f"probe_every {every}: at least 1 epoch is needed")
    data = str(data)
    try:
        splits = open_splits(data)
        for part in splits:
            choose(part, plan.in_channels, plan.image_size)  # what cannot be read is said now
    except ValueError as error:
        raise ValueError(f"probe_data: {error}") from error
    if len(splits[0]) < K:
        raise ValueError(
            f"probe_data {data} has {len(splits[0])} images in train: at least {K} are needed, the "
            "neighbours that vote"
        )
    for split in ("train", "val"):
        refuse_inside(opened.out, data if data == "sample" else str(Path(data) / split))
    probe = InterimProbe(
        data=data,
        train=splits[0],
        val=splits[1],
        every=every,
        image_size=plan.image_size,
        mean=plan.mean,
        std=plan.std,
        workers=workers,
    )
    before = opened.resumed and opened.resumed.probe
    if before and before["names"] != probe.as_dict()["names"]:
        raise ValueError(
            f"probe_data {data} has other images than {before['data']}, on which the run's "
            "accuracies are measured: one curve cannot be of both; give the same images, or start "
            "another run"
        )
    return probe
