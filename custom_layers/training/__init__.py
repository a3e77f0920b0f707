"""What training needs besides layers: losses, measures and the rate for padded sequences."""

from custom_layers.training.chunked_loss import chunked_cross_entropy, chunked_loss_and_accuracy
from custom_layers.training.compiled_adam import CompiledAdam
from custom_layers.training.masked_loss import masked_accuracy, masked_loss
from custom_layers.training.scheduled_sampling import (
    ScheduledSampling,
    exponential_decay,
    inverse_sigmoid_decay,
    linear_decay,
)
from custom_layers.training.vocabulary_loss import VocabularyLoss
from custom_layers.training.warmup_schedule import WarmupSchedule

__all__ = [
    "CompiledAdam",
    "ScheduledSampling",
    "VocabularyLoss",
    "WarmupSchedule",
    "chunked_cross_entropy",
    "chunked_loss_and_accuracy",
    "exponential_decay",
    "inverse_sigmoid_decay",
    "linear_decay",
    "masked_accuracy",
    "masked_loss",
]
