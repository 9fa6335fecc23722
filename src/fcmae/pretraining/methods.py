"""The ways to pre-train an encoder, by name. A method is one file of this folder and a row here."""

import importlib
from collections.abc import Collection

from fcmae.errors import unknown
from fcmae.pretraining.plan import Method

METHODS = {
    "fcmae": "fcmae.pretraining.masked",
    "moco-v3": "fcmae.pretraining.contrastive",  # torchvision takes a second to import
}
MASKING = ("patch_size", "mask_ratio")  # options of the methods that mask


def method_of(name: str, given: Collection[str]) -> Method:
    """The method of this name.

    Raises:
        ValueError: for an unknown name, or for an option that means nothing for it.
    """
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    method: Method = importlib.import_module(METHODS[name]).METHOD
    for option in MASKING:
        if option in given and option not in method.options:
            raise ValueError(
                f"{option} means nothing for method {name}, which masks nothing: leave it out"
            )
    return method
