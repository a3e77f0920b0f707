"""What the package costs, measured beside what it stands for. `python -m benchmarks --help`."""
