"""Gates: LSTM, GRU and the peephole LSTM side by side, measuring and making exact intervals."""
