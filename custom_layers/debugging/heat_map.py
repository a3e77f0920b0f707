"""Heat maps over a training: which training steps' gradients reach which time steps.

The norms that each look writes are also kept here, in bounded memory: when there are more than 256
columns, every second one is dropped, and from then on only every second look is kept. Drawing is slow
beside a look, so a picture is drawn at looks 4, 16, 64, ..., and at the end of the training.
"""

import pathlib
from collections.abc import Mapping

import numpy as np
from tensorboard.util import tensor_util

from custom_layers.debugging.log_folder import event_files, events_of
from custom_layers.debugging.measurements import BY_STEP, STATES
from custom_layers.debugging.tensorboard_writer import TensorBoardWriter

COLUMNS = 256
ENDINGS = tuple(f"/{state}/{BY_STEP}" for state in STATES)


class HeatMaps:
    """The history of each state's gradient norms by time step, and its pictures.

    Args:
        columns: looks that are kept at most.
    """

    def __init__(self, columns: int = COLUMNS) -> None:
        self.columns = columns
        self.looks = 0
        self._every = 1
        self._kept: dict[int, Mapping[str, np.ndarray]] = {}  # by training step
        self._last: dict[int, Mapping[str, np.ndarray]] = {}
        self._drawn = 0

    @classmethod
    def of_log(cls, folder: pathlib.Path) -> "HeatMaps":
        """Those of a training that goes on: what its log holds has been looked at already."""
        maps = cls()
        for event in (event for path in event_files(folder) for event in events_of(path)):
            found = {
                entry.tag: tensor_util.make_ndarray(entry.tensor)[:, 2]
                for entry in event.summary.value
                if entry.tag.endswith(ENDINGS)
            }
            if found:
                maps._keep(event.step, found)
        maps._drawn = maps.looks
        return maps

    def look(self, writer: TensorBoardWriter, step: int, series: Mapping[str, np.ndarray]) -> None:
        """Take the series of one look, of which those of states are kept."""
        found = {tag: values for tag, values in series.items() if tag.endswith(ENDINGS)}
        if not found:
            return
        self._keep(step, found)
        if self.looks >= 4 and np.log2(self.looks) % 2 == 0:  # a power of 4
            self.draw(writer)

    def draw(self, writer: TensorBoardWriter) -> None:
        """Write a picture of each state, `<layer>/h/heat_map`, unless nothing is new since the last."""
        if self._drawn == self.looks:
            return
        self._drawn = self.looks
        ((step, last),) = self._last.items()
        for tag in last:
            writer.image(step, tag.replace(BY_STEP, "heat_map"), _pixels(*self.history(tag), tag))

    def history(self, tag: str) -> tuple[np.ndarray, np.ndarray]:
        """Norms (time steps, looks) of one series, and the training step of each look, the last too."""
        (last,) = self._last.values()
        looks = {
            step: found[tag]
            for step, found in (self._kept | self._last).items()
            if tag in found and len(found[tag]) == len(last[tag])  # a log may hold another model's
        }
        return np.stack(list(looks.values()), axis=1), np.asarray(list(looks))

    def _keep(self, step: int, series: Mapping[str, np.ndarray]) -> None:
        self._last = {step: series}
        if self.looks % self._every == 0:
            self._kept[step] = series
        if len(self._kept) > self.columns:
            self._kept = dict(list(self._kept.items())[::2])
            self._every *= 2
        self.looks += 1


def _pixels(norms: np.ndarray, training_steps: np.ndarray, tag: str) -> np.ndarray:
    """The picture, uint8 (height, width, 3)."""
    # Matplotlib and pandas take a second to import, which a training without states does not pay.
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from custom_layers.debugging.pictures import draw_heat_map

    canvas = FigureCanvasAgg(draw_heat_map(norms, training_steps, tag))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]
