"""Reading in two directions and in layers: what each direction knows, what depth does to gradients."""
