"""A language model of characters: truncated back-propagation over streams, dropout that helps, sampling."""
