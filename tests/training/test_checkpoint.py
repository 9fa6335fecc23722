"""A checkpoint is whole or not there, whatever happens while it is written, and never pickled."""

import errno
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from fcmae.storage import atomic
from fcmae.storage.atomic import save_tensors, write_text
from fcmae.training.checkpoint import load, restore, save

CPU = torch.device("cpu")


def trained(
    steps: int, dtype: torch.dtype = torch.float32
) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A small model of 13 and 1 channels and its AdamW, `steps` steps on."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(13, 3, 2), nn.GELU(), nn.Conv2d(3, 1, 1, bias=False)).to(dtype)
    decayed, spared = [module[0].weight, module[2].weight], [module[0].bias]
    optimizer = torch.optim.AdamW([{"params": decayed}, {"params": spared, "weight_decay": 0.0}])
    advance(module, optimizer, steps)
    return module, optimizer


def advance(module: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    dtype = next(module.parameters()).dtype
    for step in range(steps):
        optimizer.zero_grad()
        generator = torch.Generator().manual_seed(step)
        module(torch.randn(1, 13, 3, 5, generator=generator).to(dtype)).square().mean().backward()
        optimizer.step()


def step_of(folder: Path) -> int | None:
    found = load(folder, CPU)
    return None if found is None else found.state["step"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Checkpoints of a run whose step 1 is saved."""
    save(tmp_path / "checkpoints", *trained(1), {"step": 1})
    return tmp_path / "checkpoints"


# What goes in comes out


def test_there_is_none_before_the_first(tmp_path: Path) -> None:
    assert load(tmp_path / "nowhere", CPU) is None
    assert load(tmp_path, CPU) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_restored_run_goes_on_bit_for_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    module, optimizer = trained(3, dtype)
    save(tmp_path, module, optimizer, {"step": 3})
    found = load(tmp_path, CPU)
    assert found is not None
    again, its_optimizer = trained(0, dtype)
    restore(found, again, its_optimizer)
    advance(module, optimizer, 2)
    advance(again, its_optimizer, 2)
    for ours, theirs in zip(module.parameters(), again.parameters(), strict=True):
        assert theirs.dtype == dtype
        assert torch.equal(ours, theirs)
        for what, value in optimizer.state[ours].items():
            assert torch.equal(value, its_optimizer.state[theirs][what]), what
            assert value.dtype == its_optimizer.state[theirs][what].dtype


def test_a_run_stopped_before_its_first_step_is_restored(tmp_path: Path) -> None:
    module, optimizer = trained(0)
    save(tmp_path, module, optimizer, {"step": 0})
    found = load(tmp_path, CPU)
    assert found is not None
    again, its_optimizer = trained(2)  # whatever it did is forgotten
    restore(found, again, its_optimizer)
    advance(module, optimizer, 2)
    advance(again, its_optimizer, 2)
    assert all(map(torch.equal, module.parameters(), again.parameters()))


def test_counts_come_back_to_the_last_digit(tmp_path: Path) -> None:
    state = {"step": 7, "window": [0.1 + 0.2, 3], "unreadable": [["ä/1.png", "empty file"]]}
    save(tmp_path, *trained(1), state)
    found = load(tmp_path, CPU)
    assert found is not None
    assert found.state == state


def test_weights_laid_out_otherwise_keep_their_values(tmp_path: Path) -> None:
    values = torch.arange(2 * 3 * 4 * 5.0).view(2, 3, 4, 5)
    module = nn.Module()
    module.weight = nn.Parameter(values.to(memory_format=torch.channels_last))
    save(tmp_path, module, torch.optim.AdamW([module.weight]), {"step": 0})
    found = load(tmp_path, CPU)
    assert found is not None
    assert torch.equal(found.model["weight"], values)


def test_another_model_is_refused(folder: Path) -> None:
    found = load(folder, CPU)
    assert found is not None
    other = nn.Sequential(nn.Conv2d(13, 3, 2))
    with pytest.raises(RuntimeError, match=r"Unexpected key.*2\.weight"):
        restore(found, other, torch.optim.AdamW(other.parameters()))


def test_an_optimiser_that_lacks_a_parameter_is_refused(folder: Path) -> None:
    found = load(folder, CPU)
    assert found is not None
    for name in [name for name in found.optimizer if name.startswith("2.weight/")]:
        del found.optimizer[name]
    with pytest.raises(ValueError, match=r"state of 2\.weight is missing"):
        restore(found, *trained(0))


# Crashes


class PowerCutError(BaseException):
    """Nothing in the program catches it, as nothing catches a power cut."""


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """`cut(n)`: the power fails at the n-th operation on the disk that follows."""

    def cut(after: int) -> None:
        left = [after]

        def falling(real: Callable[..., object]) -> Callable[..., object]:
            def operation(*arguments: Any, **options: Any) -> object:
                left[0] -= 1
                if left[0] < 0:  # and nothing works any more, clearing up neither
                    raise PowerCutError
                return real(*arguments, **options)

            return operation

        # All that `save` does to the disk goes through these.
        for place, name in (
            *((Path, name) for name in ("mkdir", "rename", "replace", "write_text", "chmod")),
            (shutil, "rmtree"),
            (atomic.os, "fsync"),
            (safetensors.torch, "save_file"),
        ):
            monkeypatch.setattr(place, name, falling(getattr(place, name)))

    return cut


def test_power_cuts_at_every_moment_leave_a_whole_checkpoint(
    tmp_path: Path, cut: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = trained(1), trained(2)
    seen = []
    for moment in range(100):
        folder = tmp_path / str(moment)
        save(folder, *old, {"step": 1})
        cut(moment)
        try:
            save(folder, *new, {"step": 2})
            finished = True
        except PowerCutError:
            finished = False
        monkeypatch.undo()
        found = load(folder, CPU)
        assert found is not None, f"nothing is left after a cut at operation {moment}"
        seen.append(found.state["step"])
        expected = {1: old, 2: new}[seen[-1]][0].state_dict()
        assert all(torch.equal(found.model[name], expected[name]) for name in expected)
        # And whatever lies about, the next one can be written.
        save(folder, *new, {"step": 3})
        assert step_of(folder) == 3
        assert [path.name for path in folder.iterdir()] == ["last"]
        if finished:
            break
    assert finished
    assert len(seen) > 10
    assert seen == sorted(seen)  # up to some moment the old one counts, from then on the new one
    assert {1, 2} == set(seen)


def test_a_first_checkpoint_cut_short_does_not_count(
    tmp_path: Path, cut: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for moment in range(8):
        cut(moment)
        with pytest.raises(PowerCutError):
            save(tmp_path / str(moment), *trained(1), {"step": 1})
        monkeypatch.undo()
        assert load(tmp_path / str(moment), CPU) is None


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.safetensors", "state.json"])
def test_a_full_disk_leaves_the_last_good_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    def full(path: Path) -> None:
        path.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    save_file, write = safetensors.torch.save_file, Path.write_text
    with monkeypatch.context() as patch:
        patch.setattr(
            safetensors.torch,
            "save_file",
            lambda tensors, path, **rest: (
                full(path) if path.name.startswith(file) else save_file(tensors, path, **rest)
            ),
        )
        patch.setattr(
            Path,
            "write_text",
            lambda path, text, **rest: (
                full(path) if path.name.startswith(file) else write(path, text, **rest)
            ),
        )
        with pytest.raises(OSError, match="No space left on device"):
            save(folder, *trained(2), {"step": 2})
    assert step_of(folder) == 1
    assert [path.name for path in folder.iterdir()] == ["last"]  # no half file keeps the disk full


def test_a_disk_that_takes_no_more_bytes_leaves_the_last_good_one(folder: Path) -> None:
    resource = pytest.importorskip("resource")  # what is limited here: the size of a file
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError, match=r"model\.safetensors cannot be written"):
            save(folder, *trained(2), {"step": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert step_of(folder) == 1
    assert [path.name for path in folder.iterdir()] == ["last"]


def test_what_cannot_be_written_leaves_the_last_good_one(folder: Path) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        save(folder, *trained(2), {"step": 2, "odd": object()})
    assert step_of(folder) == 1


# What was changed after it was written


FILES = ("model.safetensors", "optimizer.safetensors", "state.json")


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", ["truncated", "emptied", "noise"])
def test_a_damaged_file_is_named(folder: Path, file: str, damage: str) -> None:
    path = folder / "last" / file
    whole = path.read_bytes()
    noise = bytes(torch.randint(128, 256, (64,), dtype=torch.uint8).tolist())
    path.write_bytes({"truncated": whole[:-3], "emptied": b"", "noise": noise}[damage])
    with pytest.raises(ValueError, match=rf"checkpoint .*last/{file} cannot be read.*--overwrite"):
        load(folder, CPU)


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.safetensors"])
def test_a_lost_file_is_named(folder: Path, file: str) -> None:
    (folder / "last" / file).unlink()
    with pytest.raises(ValueError, match=f"{file} cannot be read"):
        load(folder, CPU)


def test_a_header_that_lies_about_its_tensors_is_refused(folder: Path) -> None:
    path = folder / "last" / "model.safetensors"
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    header = whole[8 : 8 + length]
    assert b"[3,13,2,2]" in header
    path.write_bytes(whole[:8] + header.replace(b"[3,13,2,2]", b"[3,13,2,9]") + whole[8 + length :])
    with pytest.raises(ValueError, match=r"model\.safetensors cannot be read"):
        load(folder, CPU)


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.mkdir, (self.folder,)


@pytest.mark.parametrize("file", FILES)
def test_nothing_pickled_is_ever_read(folder: Path, tmp_path: Path, file: str) -> None:
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    for content in (bomb, torch_file(tmp_path, Bomb(tmp_path / "exploded"))):
        (folder / "last" / file).write_bytes(content)
        with pytest.raises(ValueError, match=f"{file} cannot be read"):
            load(folder, CPU)
    assert not (tmp_path / "exploded").exists()


def torch_file(folder: Path, content: object) -> bytes:
    torch.save(content, folder / "pickled.pt")
    return (folder / "pickled.pt").read_bytes()


# Single files


def test_a_text_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.json"
    write_text(path, "old")
    with monkeypatch.context() as patch:
        patch.setattr(atomic.os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_text(path, "new")
    assert path.read_text() == "old"
    with path.open() as reader:  # whoever reads meanwhile reads the old one to its end
        write_text(path, "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_weights_are_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "weights.safetensors"
    save_tensors(path, {"x": torch.zeros(1)})
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(atomic.os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            save_tensors(path, {"x": torch.ones(1)})
    with path.open("rb") as reader:
        save_tensors(path, {"x": torch.ones(1)})
        assert reader.read() == before
    assert path.read_bytes() != before


def test_weights_can_be_read_by_whoever_can_read_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o755)
    save_tensors(folder / "weights.safetensors", {"x": torch.zeros(1)}, {"model": "any"})
    assert (folder / "weights.safetensors").stat().st_mode & 0o777 == 0o644


def test_weights_say_what_they_are_and_the_same_ones_give_the_same_bytes(tmp_path: Path) -> None:
    described = {"model": "convnextv2_atto", "in_channels": 3, "stem_stride": 4, "step": 7}
    for name in "abcdefgh":
        save_tensors(tmp_path / name, {"x": torch.zeros(1), "y": torch.ones(2)}, described)
    (content,) = {(tmp_path / name).read_bytes() for name in "abcdefgh"}
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert json.loads(header["__metadata__"]["fcmae"]) == described
