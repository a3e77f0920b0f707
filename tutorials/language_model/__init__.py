"""A language model of characters: streams and cut gradients, dropout that helps, sampling."""
