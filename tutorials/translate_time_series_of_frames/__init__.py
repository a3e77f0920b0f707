"""Films of a moving digit: a convolution reads each frame, an LSTM reads their order."""
