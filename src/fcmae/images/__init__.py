"""From files to batches.

`open_images` opens a folder, a list or the sample set; `Order` says which images make up which
step; `load` decodes, crops and batches them. Everything random is a function of a seed, an epoch
and an index, so what a run sees depends on nothing else, and a resumed run goes on exactly.
"""

from fcmae.images.decode import decode
from fcmae.images.files import EXTENSIONS, digest, list_images
from fcmae.images.labelled import Labelled, open_classes, open_labelled, open_splits, share
from fcmae.images.loader import Batch, load, load_in_order
from fcmae.images.order import Order, epoch_order
from fcmae.images.sets import FolderSet, ImageSet, TrainingSet, open_images
from fcmae.images.statistics import IMAGENET_MEAN, IMAGENET_STD, channel_statistics
from fcmae.images.transforms import centre_crop, evaluation_crop, random_resized_crop, sample_seed
from fcmae.images.unreadable import TooManyUnreadable, Unreadable, Unreadables
from fcmae.images.views import AugmentedView, CentreView, EvaluationView, RandomView, View

__all__ = [
    "EXTENSIONS",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "AugmentedView",
    "Batch",
    "CentreView",
    "EvaluationView",
    "FolderSet",
    "ImageSet",
    "Labelled",
    "Order",
    "RandomView",
    "TooManyUnreadable",
    "TrainingSet",
    "Unreadable",
    "Unreadables",
    "View",
    "centre_crop",
    "channel_statistics",
    "decode",
    "digest",
    "epoch_order",
    "evaluation_crop",
    "list_images",
    "load",
    "load_in_order",
    "open_classes",
    "open_images",
    "open_labelled",
    "open_splits",
    "random_resized_crop",
    "sample_seed",
    "share",
]
