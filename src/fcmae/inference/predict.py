"""What `predict` does: find the images, run the classifier, write the table."""

import json
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from fcmae.commands.predict import Predict
from fcmae.console.screen import say
from fcmae.errors import check_target
from fcmae.images import EncodedSet, FileSource, list_images
from fcmae.inference.load import load_classifier
from fcmae.inference.loop import choose_preprocessing, forward_in_order, require_one_process
from fcmae.report.record import as_csv
from fcmae.storage.atomic import write_text
from fcmae.training.devices import choose_device, choose_precision, start_runtime

Row = dict[str, str | float | None]


def run_predict(options: Predict) -> Path:
    """Run `predict` with these options."""
    require_one_process("predict")
    out = Path(options.out).expanduser()
    check_out(out, overwrite=options.overwrite)
    if options.top < 1:
        raise ValueError(f"top {options.top}: at least 1 class a row is needed")
    paths = find(options.images)
    device = choose_device(options.device)
    precision = choose_precision(options.precision, device)
    classifier, description = load_classifier(options.weights, options.key)
    preprocessing = choose_preprocessing(options, classifier, description, device)
    top = min(options.top, len(description.classes))
    ranked = [f"{what}_{i}" for i in range(1, top + 1) for what in ("class", "probability")]
    columns = ["path", *ranked, "error"]
    images = EncodedSet(FileSource(paths, Path()))
    rows: dict[str, Row] = {images.name(i): dict.fromkeys(columns) for i in range(len(images))}
    unreadable = 0
    with start_runtime(device, precision) as runtime:
        network = classifier.to(runtime.device)
        for output in forward_in_order(network, images, preprocessing, runtime, title="predicting"):
            for logits in output.tensors:
                for index, of_image in zip(output.indices, logits, strict=True):
                    rows[images.name(index)] |= best(of_image, description.classes, top)
            for name, reason in output.unreadable:
                rows[name]["error"] = reason
            unreadable += len(output.unreadable)
    table = [row | {"path": name} for name, row in rows.items()]
    as_json = out.suffix == ".json"
    write_text(out, json.dumps(table, indent=1) + "\n" if as_json else as_csv(table))
    if unreadable:
        say(f"{unreadable} of {len(rows)} files could not be read; the column error says why")
    say(f"Wrote {out}: {len(rows)} rows")
    return out


def check_out(out: Path, *, overwrite: bool) -> None:
    """Refuse a file of another kind, in no folder, or that is there already."""
    if out.suffix not in (".csv", ".json"):
        raise ValueError(f"out {out}: give a file that ends in .csv or .json")
    check_target("out", out)
    if out.exists() and not (overwrite and out.is_file()):
        raise ValueError(f"out {out} exists: choose another file, or --overwrite to replace it")


def find(images: Sequence[str | Path]) -> list[Path]:
    """The files that these names stand for, each once, in order."""
    if not images:
        raise ValueError("images: none is given: name files or folders")
    found: list[Path] = []
    for name in images:
        path = Path(name).expanduser()
        if not path.exists():
            raise ValueError(f"images: {str(name)!r} does not exist: name files or folders")
        if path.is_dir() or path.suffix.lower() == ".txt":
            found += list_images(path)
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def best(logits: Tensor, classes: Sequence[str], top: int) -> Row:
    """The `top` most probable classes of logits [K]; of equal ones, the first comes first."""
    probabilities, order = logits.double().softmax(0).sort(descending=True, stable=True)
    row: Row = {}
    for rank in range(top):
        row[f"class_{rank + 1}"] = classes[int(order[rank])]
        row[f"probability_{rank + 1}"] = round(float(probabilities[rank]), 6)
    return row
