"""A look at this installation and these weights: what runs here, and whether it is right."""

from fcmae.doctor.examination import doctor, examine

__all__ = ["doctor", "examine"]
