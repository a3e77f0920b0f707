"""Planted faults: a function of ours with one piece of its source exchanged."""

import inspect
import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple


class Fault(NamedTuple):
    """Exchange `old` for `new` in the source of `owner.name`; `old` must occur there."""

    owner: Any
    name: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.name}: {self.old} -> {self.new}"


def mutant_of(fault: Fault) -> Callable:
    """The faulty function, compiled among the names that the sound one sees."""
    sound = inspect.unwrap(getattr(fault.owner, fault.name))
    source = textwrap.dedent(inspect.getsource(sound))
    assert fault.old in source, f"{fault} plants nothing: the source has changed"
    namespace = dict(sound.__globals__)
    faulty = source.replace(fault.old, fault.new, 1)
    assert faulty != source
    exec(
        compile(faulty.replace("super()", "super(type(self), self)"), str(fault), "exec"), namespace
    )
    return namespace[fault.name]
