"""Decoding as loops in the graph, generic over a step function."""

from custom_layers.decoding.beam_search import beam_search
from custom_layers.decoding.greedy import greedy
from custom_layers.decoding.sampling import sample
from custom_layers.decoding.step_function import Decoded, StepFunction

__all__ = ["Decoded", "StepFunction", "beam_search", "greedy", "sample"]
