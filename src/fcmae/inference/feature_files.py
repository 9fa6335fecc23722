"""Files of features: parts while they are made, and .npy or .parquet in the end."""

import importlib.util
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

from fcmae.errors import check_target
from fcmae.storage.atomic import replace, save_tensors, write_text

KINDS = (".npy", ".parquet")
OPTIONS = "options.json"


def folder_of(out: Path) -> Path:
    """Where the parts of `out` are kept."""
    return out.with_name(f".{out.name}.parts")


def check(out: Path, data: str, *, overwrite: bool) -> None:
    """Refuse a file of another kind, in no folder, among the images, or that is there already."""
    if out.suffix not in KINDS:
        raise ValueError(f"out {out}: give a file that ends in {' or '.join(KINDS)}")
    if out.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ValueError(
            f"out {out}: .parquet needs pyarrow: pip install 'fcmae[parquet]', or write .npy"
        )
    check_target("out", out)
    inside = out.resolve().is_relative_to(Path(data).expanduser().resolve())
    if inside and data != "sample" and out.suffix == ".npy":
        raise ValueError(
            f"out {out} lies inside data {data}: another start would take it for an image; "
            "choose a folder outside"
        )
    begun = folder_of(out).exists()
    for path in written(out):
        if path.is_dir():
            raise ValueError(f"out: {path} is a folder: choose another file")
        if path.exists() and not (overwrite or begun):
            raise ValueError(
                f"out: {path} exists: choose another file, or --overwrite to delete it"
            )


def written(out: Path) -> list[Path]:
    """The files that are made."""
    return [out, out.with_suffix(".json")] if out.suffix == ".npy" else [out]


def delete(out: Path) -> None:
    """Delete the files, and the parts of an earlier start."""
    for path in written(out):
        path.unlink(missing_ok=True)
    if folder_of(out).exists():
        shutil.rmtree(folder_of(out))


class Part(NamedTuple):
    """The features of some images that follow each other."""

    features: NDArray[np.float32]  # [n, C]
    indices: list[int]  # [n], the image set's numbers
    unreadable: dict[str, str]


@dataclass(frozen=True, slots=True)
class Rows:
    """What is known of the features' rows."""

    names: list[str]  # [N]
    labels: list[str] | None
    unreadable: dict[str, str]
    description: dict[str, Any]  # how the features were made


class Parts:
    """The hidden folder beside `out`; each part in it is whole.

    Args:
        out: the file that is to be.
        options: everything that decides the features.

    Raises:
        ValueError: if parts are there that were made with other options.
    """

    def __init__(self, out: Path, options: dict[str, Any]) -> None:
        self.folder = folder_of(out)
        options = json.loads(json.dumps(options))
        if (self.folder / OPTIONS).exists():
            before = json.loads((self.folder / OPTIONS).read_text())
            for name, value in options.items():
                if before.get(name) != value:
                    raise ValueError(
                        f"out {out} was begun with another {name}: {_short(before.get(name))}, now "
                        f"{_short(value)}; give the same to go on, or --overwrite to begin anew"
                    )
        else:
            self.folder.mkdir(exist_ok=True)
            write_text(self.folder / OPTIONS, json.dumps(options))

    def __len__(self) -> int:
        number = 0
        while self._path(number).exists():
            number += 1
        return number

    def __iter__(self) -> Iterator[Part]:
        for number in range(len(self)):
            with safe_open(self._path(number), framework="np") as file:
                yield Part(
                    file.get_tensor("features"),
                    file.get_tensor("indices").tolist(),
                    json.loads(file.metadata()["fcmae"]),
                )

    def append(self, features: Tensor, indices: Tensor, unreadable: dict[str, str]) -> None:
        """Write the next part."""
        tensors = {"features": features, "indices": indices}
        save_tensors(self._path(len(self)), tensors, unreadable)

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.safetensors"


def write(out: Path, parts: Parts, rows: Rows) -> None:
    """Write the parts as one file, whole or not at all."""
    temporary = parts.folder / out.name
    if out.suffix == ".npy":
        _write_npy(temporary, parts, len(rows.names))
        text = {"names": rows.names, "labels": rows.labels, "unreadable": rows.unreadable}
        write_text(out.with_suffix(".json"), json.dumps(text | rows.description, indent=1) + "\n")
    else:
        _write_parquet(temporary, parts, rows)
    replace(temporary, out)


def _write_npy(path: Path, parts: Parts, length: int) -> None:
    array, stop = None, 0
    for part in parts:
        if array is None:
            shape = (length, part.features.shape[1])
            array = np.lib.format.open_memmap(path, "w+", np.float32, shape)
        start, stop = stop, stop + len(part.features)
        array[start:stop] = part.features
    assert array is not None
    array.flush()


def _write_parquet(path: Path, parts: Parts, rows: Rows) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    width = next(iter(parts)).features.shape[1]
    fields = [pa.field("path", pa.string())]
    if rows.labels is not None:
        fields.append(pa.field("label", pa.string()))
    fields.append(pa.field("features", pa.list_(pa.float32(), width)))
    text = json.dumps({"unreadable": rows.unreadable} | rows.description)
    schema = pa.schema(fields, metadata={"fcmae": text})
    with parquet.ParquetWriter(path, schema) as writer:
        stop = 0
        for part in parts:
            start, stop = stop, stop + len(part.features)
            columns = [pa.array([_utf8(name) for name in rows.names[start:stop]], pa.string())]
            if rows.labels is not None:
                labels = [_utf8(name) for name in rows.labels[start:stop]]
                columns.append(pa.array(labels, pa.string()))
            flat = pa.array(part.features.reshape(-1))
            columns.append(pa.FixedSizeListArray.from_arrays(flat, width))
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def _utf8(name: str) -> str:
    """Odd file names with what is not UTF-8 escaped."""
    return name.encode(errors="backslashreplace").decode()


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
