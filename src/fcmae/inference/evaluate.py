"""What `evaluate` does: the options settled, every image seen once, the result shown."""

import dataclasses
import json
from pathlib import Path

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fcmae.commands.evaluate import Evaluate, Evaluation
from fcmae.console.screen import say
from fcmae.errors import check_target, unknown
from fcmae.images import Labelled, open_classes, open_labelled
from fcmae.images.folders import SPLITS
from fcmae.inference.outcomes import Outcomes, measures, rows_of, together
from fcmae.inference.outputs import make_reading, outputs
from fcmae.inference.trained import Description, load_classifier, shape
from fcmae.storage.atomic import write_text
from fcmae.training.devices import choose_device, choose_precision, take_place

ROWS = 20  # classes on the screen
NAMES = 5  # that an error lists


def run(options: Evaluate) -> Evaluation:
    """Run `evaluate` with these options."""
    target = Path(options.json).expanduser() if options.json else None
    if target:
        check_target("json", target)
    weights = str(Path(options.weights).expanduser())
    device = choose_device(options.device)
    precision = choose_precision(options.precision, device)
    images = open_data(str(options.data), options.split)
    classifier, description = load_classifier(weights, options.key)
    reading = make_reading(
        classifier,
        description,
        image_size=options.image_size,
        batch_size=options.batch_size,
        workers=options.workers,
        device=device,
    )
    numbers, names = classes_of(images, description)
    labels = torch.tensor([numbers[label] for label in images.labels])
    assumed = description.assumption(size_given=options.image_size is not None)
    with take_place(device, precision) as place:
        if place.first and assumed:
            say(assumed)
        table = torch.zeros(len(images), 5, dtype=torch.float64)
        unreadable: dict[str, str] = {}
        network = classifier.to(place.device)
        for output in outputs(network, images, reading, place, title="evaluating"):
            unreadable |= output.unreadable
            if output.indices:
                table[output.indices] = rows_of(output.values, labels[output.indices])
        table, unreadable = together(table, unreadable, place)
        first = place.first
    read = table[:, 0] == 1
    if not read.any():
        name, reason = next(iter(unreadable.items()))
        raise ValueError(
            f"data {str(options.data)!r}: none of the {len(images)} images can be read "
            f"({name}: {reason}): give images of {reading.channels} channels"
        )
    _, predictions, orders, confidences, losses = table[read].unbind(1)
    outcomes = Outcomes(labels[read], predictions.long(), orders.long(), confidences, losses)
    evaluation = Evaluation(
        weights=weights,
        data=str(options.data),
        image_size=reading.size,
        unreadable=unreadable,
        assumed=assumed,
        **measures(outcomes, names, numbers),
    )
    if first:
        show(evaluation)
        if target:
            write_text(target, json.dumps(dataclasses.asdict(evaluation), indent=1) + "\n")
            say(f"Wrote {target}")
    return evaluation


def open_data(data: str, split: str) -> Labelled:
    """DIR/SPLIT/CLASS, or DIR/CLASS where DIR is not split; or the sample set."""
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    folder = Path(data).expanduser()
    if data == "sample" or any((folder / name).is_dir() for name in SPLITS):
        return open_labelled("sample" if data == "sample" else folder, split)
    if not folder.is_dir():
        raise ValueError(f"data {data!r} is not a folder: images lie in DIR/{split}/CLASS")
    return open_classes(folder)


def classes_of(images: Labelled, description: Description) -> tuple[list[int], tuple[str, ...]]:
    """The weights' number of each class of the data, and the names of all the weights' classes."""
    ours, theirs = images.classes, description.classes
    strangers = [name for name in ours if name not in theirs]
    if not strangers:
        number = {name: index for index, name in enumerate(theirs)}
        return [number[name] for name in ours], theirs
    if "classes" not in description.assumed:
        absent = [name for name in theirs if name not in ours]
        raise ValueError(
            f"data: {len(strangers)} of its classes are unknown to the weights: {_few(strangers)}; "
            f"of theirs, the data lack: {_few(absent)}. Rename these folders, or move them away"
        )
    if len(ours) != len(theirs):
        raise ValueError(
            f"data: the weights have {len(theirs)} classes without names, and there are "
            f"{len(ours)} folders, such as {ours[0]!r}: name each folder by the number of its "
            f"class, 0 to {len(theirs) - 1}"
        )
    return list(range(len(ours))), ours  # sorted, as ImageNet's classes are numbered


def show(evaluation: Evaluation) -> None:
    """The measures, then the classes, worst first."""
    screen = Console(highlight=False, emoji=False)
    lines = [
        f"{evaluation.images} images, {shape(evaluation.image_size)} pixels",
        f"top-1 accuracy     {evaluation.top_1:.2%}",
        f"top-5 accuracy     {evaluation.top_5:.2%}" if evaluation.top_5 is not None else None,
        f"cross-entropy      {evaluation.cross_entropy:.4f}",
        f"calibration error  {evaluation.calibration_error:.2%} (expected, 15 equal bins)",
    ]
    for line in filter(None, lines):
        screen.print(line, markup=False, soft_wrap=True)
    worst = sorted(
        (accuracy, name)
        for name, accuracy in evaluation.class_accuracy.items()
        if accuracy is not None
    )
    table = Table("class, worst first", box=box.SIMPLE)
    table.add_column("images", justify="right")
    table.add_column("accuracy", justify="right")
    table.add_column("most often mistaken for")
    for accuracy, name in worst[:ROWS]:
        mistakes = {
            other: count for other, count in evaluation.confusion[name].items() if other != name
        }
        most = max(mistakes, key=mistakes.__getitem__, default="")
        images = str(evaluation.class_images[name])
        table.add_row(
            Text(name),
            images,
            f"{accuracy:.1%}",
            Text(f"{most} ({mistakes[most]})" if most else ""),
        )
    screen.print(table)
    if len(worst) > ROWS:
        screen.print(f"and {len(worst) - ROWS} classes more")
    if evaluation.unreadable:
        say(f"{len(evaluation.unreadable)} files could not be read and are not counted:")
        for name, reason in list(evaluation.unreadable.items())[:ROWS]:
            say(f"  {name}: {reason}")
        if len(evaluation.unreadable) > ROWS:
            say(f"  and {len(evaluation.unreadable) - ROWS} more")


def _few(names: list[str]) -> str:
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    return (", ".join(names[:NAMES]) or "none") + more
