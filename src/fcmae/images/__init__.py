"""From files to batches.

`open_images` opens a folder, a list or the sample set; `Order` says which images make up which
step; `load` decodes them, and batches the examples that a view makes of images and targets.
Everything random is a function of a seed, an epoch and an index, so what a run sees depends on
nothing else, and a resumed run goes on exactly.
"""

from fcmae.images.decode import decode
from fcmae.images.folders import (
    FileSource,
    list_images,
    open_classes,
    open_images,
    open_labelled,
    open_splits,
)
from fcmae.images.loader import Batch, load, load_in_order
from fcmae.images.order import Order, epoch_order
from fcmae.images.pixels import Decoded
from fcmae.images.sets import EncodedSet, ImageSet, Labelled, Subset, draw, share
from fcmae.images.statistics import IMAGENET_MEAN, IMAGENET_STD, channel_statistics
from fcmae.images.transforms import centre_crop, evaluation_crop, sample_seed
from fcmae.images.unreadable import TooManyUnreadable, Unreadable, Unreadables
from fcmae.images.views import (
    AugmentedView,
    Classified,
    EvaluationView,
    Pair,
    RandomView,
    Unlabelled,
    View,
)

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "AugmentedView",
    "Batch",
    "Classified",
    "Decoded",
    "EncodedSet",
    "EvaluationView",
    "FileSource",
    "ImageSet",
    "Labelled",
    "Order",
    "Pair",
    "RandomView",
    "Subset",
    "TooManyUnreadable",
    "Unlabelled",
    "Unreadable",
    "Unreadables",
    "View",
    "centre_crop",
    "channel_statistics",
    "decode",
    "draw",
    "epoch_order",
    "evaluation_crop",
    "list_images",
    "load",
    "load_in_order",
    "open_classes",
    "open_images",
    "open_labelled",
    "open_splits",
    "sample_seed",
    "share",
]
