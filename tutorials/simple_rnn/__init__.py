"""An Elman network: its equations, its unrolling, every gradient by hand, and a task that it learns."""
