"""What every tutorial's page uses, be it run as a script or as a notebook."""

import sys
from pathlib import Path


def show(path: Path) -> None:
    """A picture in the notebook; as a script, the place where it lies."""
    if "ipykernel" in sys.modules:
        from IPython.display import Image, display

        display(Image(str(path)))
    else:
        print(f"picture: {path}")
