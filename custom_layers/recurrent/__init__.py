"""Recurrent cells, the layers that run them over time, and the time loop itself."""
