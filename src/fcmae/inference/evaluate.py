"""What `evaluate` does: every image seen once, the measures shown and written."""

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
from fcmae.inference.classification import class_accuracy, classify, confusion
from fcmae.inference.load import Description, load_classifier, shape
from fcmae.inference.loop import choose_preprocessing, say_unreadable
from fcmae.storage.atomic import write_text
from fcmae.training.devices import choose_device, choose_precision, start_runtime

ROWS = 20  # classes on the screen
NAMES = 5  # that an error lists


def run_evaluate(options: Evaluate) -> Evaluation:
    """Run `evaluate` with these options."""
    target = Path(options.json).expanduser() if options.json else None
    if target:
        check_target("json", target)
    device = choose_device(options.device)
    precision = choose_precision(options.precision, device)
    images = open_data(options.data, options.split)
    classifier, description = load_classifier(options.weights, options.key)
    preprocessing = choose_preprocessing(options, classifier, description, device)
    numbers, names = classes_of(images, description)
    labels = torch.tensor([numbers[label] for label in images.labels])
    with start_runtime(device, precision) as runtime:
        network = classifier.to(runtime.device)
        (predictions,), unreadable = classify(
            [network], images, labels, preprocessing, runtime, title="evaluating"
        )
        first = runtime.first
    images_of = torch.bincount(predictions.labels, minlength=len(names)).tolist()
    accuracy_of = class_accuracy(predictions.labels, predictions.correct, len(names))
    confused: dict[str, dict[str, int]] = {names[number]: {} for number in numbers}
    pairs = confusion(predictions.labels, predictions.predicted)
    for (label, predicted), count in sorted(pairs.items()):
        confused[names[label]][names[predicted]] = count
    evaluation = Evaluation(
        weights=description.weights,
        data=str(options.data),
        images=len(predictions.labels),
        top_1=predictions.top_1,
        top_5=predictions.top_5(len(names)),
        cross_entropy=predictions.cross_entropy,
        calibration_error=predictions.calibration_error,
        image_size=preprocessing.size,
        class_images={names[number]: images_of[number] for number in numbers},
        class_accuracy={names[number]: accuracy_of[number] for number in numbers},
        confusion=confused,
        unreadable=unreadable,
        assumed=description.assumption(size_given=options.image_size is not None),
    )
    if first:
        show(evaluation)
        if target:
            write_text(target, json.dumps(dataclasses.asdict(evaluation), indent=1) + "\n")
            say(f"Wrote {target}")
    return evaluation


def open_data(data: str | Path, split: str) -> Labelled:
    """DIR/SPLIT/CLASS, or DIR/CLASS where DIR is not split; or the sample set."""
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    folder = Path(data).expanduser()
    if str(data) == "sample":
        return open_labelled("sample", split)
    if any((folder / name).is_dir() for name in SPLITS):
        return open_labelled(folder, split)
    if not folder.is_dir():
        raise ValueError(f"data {str(data)!r} is not a folder: images lie in DIR/{split}/CLASS")
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
    say_unreadable(evaluation.unreadable)


def _few(names: list[str]) -> str:
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    return (", ".join(names[:NAMES]) or "none") + more
