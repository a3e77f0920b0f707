"""The error of everything that reads data: one line that a command-line program can print."""


class DataError(ValueError):
    """Data that cannot be had or read; the message names the rule, the value and the way out."""
