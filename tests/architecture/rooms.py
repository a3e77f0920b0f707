"""Which room may import which: imports point one way. This table is the rule; a test enforces it."""

LAYER_FAMILIES = (
    *("attention", "convolution", "embedding", "linear", "normalization", "recurrent"),
    "regularization",
)
BLOCKS = ("attention", "convolution", "embedding", "linear", "normalization", "regularization")
SHARED = ("core",)

# room -> the rooms of the package that it may import, besides Keras, NumPy and itself
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "core": (),
    **dict.fromkeys(LAYER_FAMILIES, SHARED),
    "recurrent": (*SHARED, "convolution"),
    "transformer": (*SHARED, *BLOCKS),
    "debugging": SHARED,
    "data": SHARED,
    "training": SHARED,
    "decoding": SHARED,
    "comparison": (*SHARED, *LAYER_FAMILIES, "transformer", "data", "training", "decoding", ""),
    "": (*SHARED, *LAYER_FAMILIES, "transformer"),  # custom_layers/__init__.py: public names
}

# The backends' own files; everything else in a layer family runs on any backend.
KNOWS_A_BACKEND = {
    "recurrent/time_loop_tensorflow.py": "tensorflow",
    "recurrent/time_loop_jax.py": "jax",
    "recurrent/time_loop_torch.py": "torch",
}
NAMED_TUPLE = (
    "_asdict",
    "_fields",
    "_replace",
)  # its public methods, so named to spare field names
RECOGNISED = ("keras.layers.StackedRNNCells",)  # asked for with isinstance, never built
MAY_KNOW_TENSORFLOW = ("debugging", "data", "training", "decoding", "comparison")
BACKENDS = ("tensorflow", "jax", "torch")

LONGEST_FILE = 400  # lines; longer ones hold a second idea
VAGUE_NAMES = ("utils", "helpers", "common", "misc")
