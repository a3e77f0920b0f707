"""What training needs besides layers: losses, measures and the rate for padded sequences."""

from custom_layers.training.masked_loss import masked_accuracy, masked_loss
from custom_layers.training.warmup_schedule import WarmupSchedule

__all__ = ["WarmupSchedule", "masked_accuracy", "masked_loss"]
