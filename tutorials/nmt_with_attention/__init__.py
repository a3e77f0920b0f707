"""Neural machine translation with attention, with Keras's layers and with ours."""
