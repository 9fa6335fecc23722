"""Weights from files into models: what fits, what is reported, what is refused."""

import argparse
import os
import pickle
import re
import warnings
from pathlib import Path

import pytest
import timm
import torch
from random_weights import randomise
from safetensors.torch import save_file
from sparse_names import sparse_state
from torch import Tensor, nn
from transformers import ConvNextV2Config, ConvNextV2ForImageClassification

import fcmae
from fcmae.models.autoencoder import create_autoencoder
from fcmae.models.classifier import Classifier, create_model
from fcmae.models.encoder import Encoder
from fcmae.storage.atomic import save_tensors
from fcmae.weights import load_weights, read_weights, save_weights

ATTO = "convnextv2_atto"
HEAD = ("head.bias", "head.weight")
FINAL = (*HEAD, "norm.bias", "norm.weight")


def encoder(model: str = ATTO, *, in_channels: int = 3, stem_stride: int = 4) -> Encoder:
    return randomise(Encoder(model, in_channels=in_channels, stem_stride=stem_stride))


def classifier(model: str = ATTO, *, num_classes: int = 7, in_channels: int = 3) -> Classifier:
    return randomise(create_model(model, num_classes=num_classes, in_channels=in_channels)).eval()


def same(model: nn.Module, state: dict[str, Tensor]) -> bool:
    return all(torch.equal(model.state_dict()[name], value) for name, value in state.items())


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(("in_channels", "stem_stride"), [(1, 1), (13, 4), (3, 2)])
def test_an_encoder_goes_into_a_classifier_and_only_the_head_stays_fresh(
    tmp_path: Path, in_channels: int, stem_stride: int
) -> None:
    saved = encoder(in_channels=in_channels, stem_stride=stem_stride)
    save_weights(saved, str(tmp_path / "a.safetensors"))
    into = create_model(ATTO, num_classes=5, in_channels=in_channels, stem_stride=stem_stride)
    fresh = into.head.weight.clone()
    report = load_weights(into, str(tmp_path / "a.safetensors"))
    assert same(into, saved.state_dict())
    assert torch.equal(into.head.weight, fresh)
    assert report.missing == FINAL
    assert set(report.loaded) == set(saved.state_dict())


def test_a_classifier_goes_into_an_encoder_and_an_autoencoder_without_its_head(
    tmp_path: Path,
) -> None:
    saved = classifier()
    save_weights(saved, tmp_path / "a.safetensors")
    for into in (Encoder(ATTO), create_autoencoder(ATTO)):
        backbone = into if isinstance(into, Encoder) else into.encoder
        others = {
            name: value.clone() for name, value in into.state_dict().items() if "decoder" in name
        }
        report = load_weights(into, tmp_path / "a.safetensors")
        for name, value in backbone.state_dict().items():
            assert torch.equal(value, saved.state_dict()[name])
        assert same(into, others)
        assert (report.missing, report.unexpected) == ((), FINAL)


def test_a_head_of_other_classes_stays_fresh_and_is_reported(tmp_path: Path) -> None:
    saved = classifier()
    save_weights(saved, tmp_path / "a.safetensors")
    into = create_model(ATTO, num_classes=10)
    fresh = into.head.weight.clone()
    report = load_weights(into, tmp_path / "a.safetensors")
    assert torch.equal(into.head.weight, fresh)
    assert torch.equal(into.norm.weight, saved.norm.weight)
    assert report.missing == HEAD
    assert report.notes == ("the head in the file is of 7 classes: the model's stays fresh",)
    assert "missing        2: head.bias, head.weight\n" in str(report)
    assert "head in the file is of 7 classes" in str(report)


def test_pre_training_goes_on_from_sparse_weights(tmp_path: Path) -> None:
    saved = encoder(in_channels=13)
    torch.save({"model": sparse_state(saved.state_dict())}, tmp_path / "a.pth")
    into = create_autoencoder(ATTO, in_channels=13)
    decoder = {name: value.clone() for name, value in into.decoder.state_dict().items()}
    report = load_weights(into, tmp_path / "a.pth")
    assert same(into.encoder, saved.state_dict())
    assert same(into.decoder, decoder)
    assert report.dialect == "sparse"
    assert set(report.unexpected) == {
        "mask_token",
        "proj.weight",
        "pred.bias",
        "decoder.0.grn.gamma",
    }
    assert "unexpected     4: decoder.0.grn.gamma, mask_token, pred.bias and 1 more" in str(report)


def test_a_run_is_read_with_its_description(tmp_path: Path) -> None:
    saved = encoder("convnextv2_pico", in_channels=13, stem_stride=2)
    said = {"model": "convnextv2_pico", "in_channels": 13, "stem_stride": 2, "step": 41}
    save_tensors(tmp_path / "weights.safetensors", saved.state_dict(), said)
    read = read_weights(tmp_path)
    state, description = read.state, read.description
    assert description == said | {"num_classes": None, "response": "grn"}
    assert state.keys() == saved.state_dict().keys()
    assert same(saved, state)


@pytest.mark.parametrize("ending", ["pth", "pt", "bin"])
@pytest.mark.parametrize("zipped", [True, False])
def test_the_authors_files_with_their_options_are_read(
    tmp_path: Path, ending: str, zipped: bool
) -> None:
    saved = classifier()
    content = {
        "model": saved.state_dict(),
        "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]},
        "epoch": 3,
        "args": argparse.Namespace(lr=0.1, model=ATTO, input_size=224, resume=None),
    }
    torch.save(content, tmp_path / f"a.{ending}", _use_new_zipfile_serialization=zipped)
    into = create_model(ATTO, num_classes=7)
    report = load_weights(into, tmp_path / f"a.{ending}")
    assert same(into, saved.state_dict())
    assert report.source == f"{tmp_path / 'a'}.{ending}, model"
    assert report.notes == ()


def test_averaged_weights_are_chosen_by_their_key(tmp_path: Path) -> None:
    last, averaged = classifier(), randomise(create_model(ATTO, num_classes=7), seed=1)
    content = {"model_ema": averaged.state_dict(), "model": last.state_dict()}
    torch.save(content, tmp_path / "a.pth")
    into = create_model(ATTO, num_classes=7)
    report = load_weights(into, tmp_path / "a.pth")
    assert same(into, last.state_dict())
    assert report.notes == ("the file also holds model_ema: key chooses",)
    assert load_weights(into, tmp_path / "a.pth", key="model_ema").source.endswith(", model_ema")
    assert same(into, averaged.state_dict())
    with pytest.raises(ValueError, match="unknown key 'ema': did you mean 'model_ema'"):
        load_weights(into, tmp_path / "a.pth", key="ema")


@pytest.mark.parametrize("key", [None, "module", "state_dict", "net"])
def test_weights_are_found_where_they_are(tmp_path: Path, key: str | None) -> None:
    saved = encoder()
    parameters = dict(saved.named_parameters())  # which require gradients
    torch.save(parameters if key is None else {key: parameters}, tmp_path / "a.pt")
    state = read_weights(tmp_path / "a.pt", key="net" if key == "net" else None).state
    assert same(saved, state)
    assert not any(value.requires_grad for value in state.values())
    if key == "net":
        with pytest.raises(ValueError, match=r"no tensors under any of .*choose key among: net"):
            read_weights(tmp_path / "a.pt")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_program_in_a_pickle_is_refused_and_not_run(tmp_path: Path, zipped: bool) -> None:
    trap = {"model": encoder().state_dict(), "args": Trap(tmp_path / "sprung")}
    torch.save(trap, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"a\.pth: it holds a pickled \S+\.mkdir, which") as error:
        read_weights(tmp_path / "a.pth")
    assert "weights_only" not in str(error.value)
    (tmp_path / "b.bin").write_bytes(pickle.dumps(trap["args"]))
    with pytest.raises(ValueError, match=r"b\.bin: it "):
        read_weights(tmp_path / "b.bin")
    assert not (tmp_path / "sprung").exists()
    torch.load(tmp_path / "a.pth", weights_only=False)
    assert (tmp_path / "sprung").exists(), "the trap would not have sprung"


def test_a_whole_pickled_model_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(1, 1), tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"pickled torch\.nn\.modules\.linear\.Linear, which"):
        read_weights(tmp_path / "a.pt")


def test_a_compiled_program_is_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, and yet there are such files
        torch.jit.save(torch.jit.trace(nn.Linear(1, 1), torch.zeros(1)), tmp_path / "a.pt")
    with pytest.raises(ValueError, match="not a whole PyTorch file of plain tensors"):
        read_weights(tmp_path / "a.pt")


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize("length", [0, 5, 1000, 5_000_000])
def test_damaged_files_are_refused(tmp_path: Path, ending: str, length: int) -> None:
    path = tmp_path / f"a.{ending}"
    if ending == "pth":
        torch.save(encoder().state_dict(), path)
    else:
        save_weights(encoder(), path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"it is not a whole (PyTorch|safetensors) file"):
        read_weights(path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.pt", [torch.zeros(1)], "it holds a list, not tensors with names"),
        ("a.pt", {}, "no tensors under any of model, .* may be no weights"),
        ("a.pt", {"model": {}}, "no tensors under any of model"),
        ("a.pt", {"model": {"a": torch.zeros(1), "b": 2}}, "no tensors under any of model"),
        ("a.pt", {"a": torch.zeros(1, dtype=torch.int64)}, "its a .torch.int64. is no tensor of"),
        ("a.pt", {"a": torch.zeros(1).to_sparse()}, "its a .torch.float32. is no tensor of"),
        ("a.pt", {"a": torch.zeros(1, device="meta")}, "its a .torch.float32. is no tensor of"),
        ("a.pt", {"conv1.weight": torch.zeros(1)}, "none of official, .* it has conv1.weight;"),
        ("a.ckpt", {}, r"a file named a\.ckpt is not read: give \.safetensors, \.pth or \.pt or"),
    ],
)
def test_what_holds_no_weights_is_refused(
    tmp_path: Path, name: str, content: object, words: str
) -> None:
    torch.save(content, tmp_path / name)
    with pytest.raises(ValueError, match=f"^weights {re.escape(str(tmp_path / name))}: .*{words}"):
        read_weights(tmp_path / name)


def test_absent_files_and_needless_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no file .*weights\.safetensors; give"):
        read_weights(tmp_path)
    with pytest.raises(ValueError, match=r"there is no file .*a\.pth; give"):
        read_weights(tmp_path / "a.pth")
    save_weights(encoder(), tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match="key 'model' chooses within a PyTorch file"):
        read_weights(tmp_path, key="model")
    save_file({}, tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match="it holds no tensors"):
        read_weights(tmp_path)
    torch.save({"epoch": 1}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match="key 'model': it holds no tensors with names under any"):
        read_weights(tmp_path / "a.pth", key="model")


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ('{"model": "convnextv2_nano"}', "says model 'convnextv2_nano', its shapes 'convnextv2_a"),
        ('{"in_channels": 1}', "says in_channels 1, its shapes 3: it was changed"),
        ('{"num_classes": 2}', "says num_classes 2, its shapes None"),
        ("{", "no JSON"),
        ("[]", r"description is \[\], not names"),
    ],
)
def test_a_description_that_was_changed_is_refused(
    tmp_path: Path, metadata: str, words: str
) -> None:
    save_file(encoder().state_dict(), tmp_path / "a.safetensors", metadata={"fcmae": metadata})
    with pytest.raises(ValueError, match=words):
        read_weights(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"extra.weight": torch.zeros(1)}, "it has unknown extra.weight"),
        ({"stages.0.0.grn.gamma": None}, "it lacks stages.0.0.grn.gamma$"),
        ({"head.bias": None}, "it lacks head.bias$"),
        ({"norm.weight": None, "norm.bias": None}, "it lacks norm.bias, norm.weight$"),
        ({"stages.2.5.dwconv.weight": torch.zeros(160, 1, 5, 5)}, r"\[160, 1, 5, 5\], \[160, 1"),
        ({"stages.1.0.grn.beta": torch.zeros(319)}, r"\[1, 1, 1, 319\], \[1, 1, 1, 320\] is"),
        ({"stages.0.2.norm.bias": torch.zeros(40)}, r"width 40 and depths \(3, 2, 6, 2\)"),
        ({"downsample_layers.0.0.weight": torch.zeros(40, 3, 4, 2)}, r"its stem, .*\[40, 3, 4, 2"),
        ({"downsample_layers.0.0.weight": torch.zeros(40, 3, 8, 8)}, "stem_stride 8 is not"),
        ({"head.weight": torch.zeros(0, 320)}, r"its head.bias has shape \[7\], \[1\]"),
        ({"head.weight": torch.tensor(1.0)}, r"its head.bias has shape \[7\], \[1\]"),
    ],
)
def test_weights_that_are_not_whole_are_refused(
    tmp_path: Path, change: dict[str, Tensor | None], words: str
) -> None:
    state = classifier().state_dict() | change
    state = {name: value for name, value in state.items() if value is not None}
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=f"a.safetensors: .*{words}"):
        read_weights(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("into", "words"),
    [
        ({"model": "convnextv2_pico"}, f"the file is {ATTO}, the model convnextv2_pico; give"),
        ({"model": "convnext_atto"}, f"the file is {ATTO}, the model convnext_atto; give"),
        ({"in_channels": 1}, f"the file is {ATTO} of in_channels 3, the model of 1; give"),
        ({"stem_stride": 2}, f"the file is {ATTO} of stem_stride 4, the model of 2; give"),
    ],
)
@pytest.mark.parametrize("build", [create_model, create_autoencoder, Encoder])
def test_weights_of_another_model_are_refused(tmp_path: Path, build, into, words: str) -> None:  # type: ignore[no-untyped-def]
    save_weights(encoder(), tmp_path / "a.safetensors")
    model = build(**{"model": ATTO} | into)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=words):
        load_weights(model, tmp_path / "a.safetensors")
    assert same(model, before)


def test_a_model_that_was_cut_is_not_loaded_in_part(tmp_path: Path) -> None:
    save_weights(encoder(), tmp_path / "a.safetensors")
    into = Encoder(ATTO)
    del into.stages[3][1:]  # type: ignore[index]
    with pytest.raises(ValueError, match=r"and the model differ: it has unknown stages\.3\.1"):
        load_weights(into, tmp_path / "a.safetensors")


@torch.no_grad()
def test_files_of_timm_and_transformers_are_loaded(tmp_path: Path) -> None:
    images = torch.randn(1, 3, 64, 33)
    one = randomise(timm.create_model(ATTO, num_classes=0)).eval()  # a norm, and no head
    torch.save(one.state_dict(), tmp_path / "a.pth")
    into = create_model(ATTO, num_classes=5).eval()
    report = load_weights(into, tmp_path / "a.pth")
    assert (report.dialect, report.missing) == ("timm", HEAD)
    torch.testing.assert_close(
        one(images), into.norm(into.features(images)[-1].mean((2, 3))), rtol=0, atol=1e-4
    )

    config = ConvNextV2Config(depths=[2, 2, 6, 2], hidden_sizes=[40, 80, 160, 320], num_labels=5)
    other = randomise(ConvNextV2ForImageClassification(config)).eval()
    other.save_pretrained(tmp_path)
    report = load_weights(into, tmp_path / "model.safetensors")
    assert (report.dialect, report.missing) == ("transformers", ())
    torch.testing.assert_close(other(images).logits, into(images), rtol=0, atol=1e-4)


def test_reading_leaves_random_numbers_alone(tmp_path: Path) -> None:
    save_weights(encoder(), tmp_path / "a.safetensors")
    before = torch.get_rng_state()
    read_weights(tmp_path / "a.safetensors")
    assert torch.equal(torch.get_rng_state(), before)


def test_values_that_are_not_numbers_are_refused_with_their_names(tmp_path: Path) -> None:
    model = fcmae.create_model("convnextv2_atto", num_classes=2)
    model.head.weight.data[1, 3] = float("nan")
    fcmae.save_weights(model, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"a\.safetensors: .*not numbers, in head\.weight"):
        fcmae.load_weights(model, tmp_path / "a.safetensors")
