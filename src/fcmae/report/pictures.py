"""The pictures of a run, as data URIs that need no other file."""

import base64
from dataclasses import dataclass
from pathlib import Path

from fcmae.report.json_files import entries, fact, value

MOST_EPOCHS = 8  # more columns than that nobody compares
BUDGET = 2_000_000  # bytes of pictures; base64 adds a third


@dataclass(frozen=True)
class Strip:
    """One image: the truth, what the encoder saw, and a reconstruction for every epoch shown."""

    name: str
    true: str | None
    masked: str | None
    reconstructions: tuple[str | None, ...]


@dataclass(frozen=True)
class Reconstructions:
    """All the strips shown, and what was left out to keep the report small."""

    epochs: tuple[int, ...]
    strips: tuple[Strip, ...]
    epochs_left_out: int
    images_left_out: int


def read_pictures(folder: Path) -> Reconstructions:
    """Read `folder`, RUN/reconstructions; without it there are no strips.

    At most `MOST_EPOCHS` epochs are shown, evenly spread from the first to the last, and as many
    images as fit into `BUDGET`, at least one.

    Args:
        folder: holds images.json, input-I.webp, masked-I.webp and epoch-NNNN-I.webp.
    """
    names = [fact(entry, "name") for entry in entries(value(folder / "images.json"))]
    found = sorted({int(path.stem.split("-")[1]) for path in _numbered(folder, "epoch-*-*.webp")})
    epochs = _spread(found, MOST_EPOCHS)
    images = {int(path.stem.split("-")[1]) for path in _numbered(folder, "input-*.webp")}
    strips: list[Strip] = []
    size = 0
    for image in sorted(images):
        name = names[image] if image < len(names) else None
        strip = Strip(
            str(name or f"image {image}"),
            picture(folder / f"input-{image}.webp"),
            picture(folder / f"masked-{image}.webp"),
            tuple(picture(folder / f"epoch-{epoch:04d}-{image}.webp") for epoch in epochs),
        )
        size += sum(len(one or "") for one in (strip.true, strip.masked, *strip.reconstructions))
        if strips and size > BUDGET * 4 / 3:
            break
        strips.append(strip)
    left_out = (len(found) - len(epochs), len(images) - len(strips))
    return Reconstructions(epochs, tuple(strips), *left_out)


def picture(path: Path) -> str | None:
    """The file as a data URI; None where it is absent or not a whole WebP file."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    whole = len(content) - 8 == int.from_bytes(content[4:8], "little")  # RIFF says its own length
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP" or not whole:
        return None
    return "data:image/webp;base64," + base64.b64encode(content).decode()


def _numbered(folder: Path, pattern: str) -> list[Path]:
    return [
        path
        for path in folder.glob(pattern)
        if all(part.isascii() and part.isdigit() for part in path.stem.split("-")[1:])
    ]


def _spread(values: list[int], most: int) -> tuple[int, ...]:
    if len(values) <= most:
        return tuple(values)
    return tuple(values[round(one * (len(values) - 1) / (most - 1))] for one in range(most))
