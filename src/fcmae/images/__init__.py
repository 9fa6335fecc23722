"""From files to batches.

`open_images` opens a folder, a list or the sample set; `Order` says which images make up which
step; `load` decodes, crops and batches them. Everything random is a function of a seed, an epoch
and an index, so what a run sees depends on nothing else, and a resumed run goes on exactly.
"""

from fcmae.images.decode import decode
from fcmae.images.files import EXTENSIONS, list_images
from fcmae.images.loader import Batch, load
from fcmae.images.order import Order, epoch_order
from fcmae.images.sets import FolderSet, ImageSet, open_images
from fcmae.images.statistics import IMAGENET_MEAN, IMAGENET_STD, channel_statistics
from fcmae.images.transforms import centre_crop, random_resized_crop, sample_seed
from fcmae.images.unreadable import TooManyUnreadable, Unreadable, Unreadables

__all__ = [
    "EXTENSIONS",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Batch",
    "FolderSet",
    "ImageSet",
    "Order",
    "TooManyUnreadable",
    "Unreadable",
    "Unreadables",
    "centre_crop",
    "channel_statistics",
    "decode",
    "epoch_order",
    "list_images",
    "load",
    "open_images",
    "random_resized_crop",
    "sample_seed",
]
