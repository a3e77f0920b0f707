"""Clipping: three rules, a cliff, and a training that it saves, watched before and after."""
