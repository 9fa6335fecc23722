"""A look at this installation and these weights: what runs here, and whether it is right."""

from fcmae.doctor.examination import doctor

__all__ = ["doctor"]
