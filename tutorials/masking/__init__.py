"""Masking: padding changes no output and no gradient; what goes wrong without a mask; what it costs."""
