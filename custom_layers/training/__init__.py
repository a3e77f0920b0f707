"""What training needs besides layers: losses and measures, schedules, states kept between batches."""

from custom_layers.training.chunked_loss import chunked_cross_entropy, chunked_loss_and_accuracy
from custom_layers.training.masked_loss import masked_accuracy, masked_loss
from custom_layers.training.pinball_loss import PinballLoss
from custom_layers.training.scheduled_sampling import (
    ScheduledSampling,
    exponential_decay,
    inverse_sigmoid_decay,
    linear_decay,
)
from custom_layers.training.stream_states import StreamStates, reset_states
from custom_layers.training.vocabulary_loss import VocabularyLoss
from custom_layers.training.warmup_schedule import WarmupSchedule

__all__ = [
    "PinballLoss",
    "ScheduledSampling",
    "StreamStates",
    "VocabularyLoss",
    "WarmupSchedule",
    "chunked_cross_entropy",
    "chunked_loss_and_accuracy",
    "exponential_decay",
    "inverse_sigmoid_decay",
    "linear_decay",
    "masked_accuracy",
    "masked_loss",
    "reset_states",
]
