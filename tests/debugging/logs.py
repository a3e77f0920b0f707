"""Read what an inspector wrote."""

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from custom_layers.debugging.log_folder import event_files, events_of


def events(folder):
    """All of a run's events, none left out."""
    found = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    found.Reload()
    return found


def steps_looked_at(folder):
    """Each step that was looked at, as often as it stands in the log."""
    return [
        event.step
        for path in event_files(folder)
        for event in events_of(path)
        if any(value.tag == "loss/probe" for value in event.summary.value)
    ]
