"""First weights of a fine-tuning: the model that they are of, and the classifier with them."""

import torch

from fcmae.commands.finetune import Finetune
from fcmae.commands.shared import parse_image_size
from fcmae.console.screen import say
from fcmae.finetuning.plan import FinetuningPlan, FirstWeights
from fcmae.inference.load import load_backbone
from fcmae.models.classifier import Classifier, create_model
from fcmae.models.responses import USUAL
from fcmae.parallel.processes import is_first
from fcmae.sizes import size_of
from fcmae.training.start import OpenedRun
from fcmae.weights import load_weights


def read_first_weights(opened: OpenedRun[Finetune]) -> FirstWeights:
    """The model and its images, as the weights have them, unless an option says otherwise."""
    options, resumed = opened.options, opened.resumed
    chosen = {name: getattr(options, name) for name in ("model", "in_channels", "stem_stride")}
    if resumed is not None:  # its first weights no longer matter
        plan = resumed.plan
        facts = {name: plan[name] for name in chosen} | {"response": plan["recipe"]["response"]}
        size, statistics = tuple(plan["image_size"]), (tuple(plan["mean"]), tuple(plan["std"]))
    elif options.init is None:
        facts = {"model": "convnextv2_atto", "in_channels": 3, "stem_stride": 4, "response": USUAL}
        size, statistics = (224, 224), None
    else:
        found = load_backbone(str(options.init), options.key)
        facts = {name: getattr(found.backbone, name) for name in (*chosen, "response")}
        said = found.description
        size, statistics = said.image_size, None
        if "mean" not in said.assumed:
            statistics = (said.mean, said.std)
    for name, value in chosen.items():
        if value is not None:
            if options.init is not None and value != facts[name]:
                raise ValueError(
                    f"{name} {value}: the weights {options.init} are of {name} {facts[name]}: "
                    f"leave {name} out, or give weights of such a model"
                )
            facts[name] = value
    size_of(facts["model"])  # an unknown model is said before images are read
    if options.image_size is not None:
        size = parse_image_size(options.image_size)
    stride = 8 * facts["stem_stride"]
    if min(size) < stride:
        raise ValueError(
            f"image size {size[0]}x{size[1]}: both sides must be at least {stride}, the total "
            "stride; a smaller stem_stride takes smaller images"
        )
    return FirstWeights(**facts, image_size=size, statistics=statistics)


def make_model(plan: FinetuningPlan, opened: OpenedRun[Finetune]) -> Classifier:
    """The classifier with its first weights; its head is always fresh."""
    torch.manual_seed(plan.seed)
    model = create_model(
        plan.model,
        num_classes=len(plan.classes),
        in_channels=plan.in_channels,
        stem_stride=plan.stem_stride,
        drop_path=plan.recipe.drop_path,
        head_init=plan.recipe.head_init,
        response=plan.recipe.response,
    )
    if opened.takes_first_weights:
        head = {name: value.clone() for name, value in model.head.state_dict().items()}
        report = load_weights(model, str(opened.options.init), key=opened.options.key)
        model.head.load_state_dict(head)
        if is_first():
            say(str(report))
    return model
