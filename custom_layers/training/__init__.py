"""What training needs besides layers: losses and measures for padded sequences."""

from custom_layers.training.masked_loss import masked_accuracy, masked_loss

__all__ = ["masked_accuracy", "masked_loss"]
