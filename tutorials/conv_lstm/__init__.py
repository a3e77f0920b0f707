"""The next pictures of a film: an LSTM whose products are convolutions."""
