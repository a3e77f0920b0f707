"""A model that takes sentences and gives sentences: what all translators have in common."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from custom_layers.decoding import beam_search, greedy, sample

METHODS = ("greedy", "sample", "beam")


def namespace_of(name: str, owner: str) -> Any:
    """The module that a saved translator was built from."""
    if name == "keras.layers":
        return keras.layers
    if name == "custom_layers":
        import custom_layers

        return custom_layers
    raise ValueError(
        f"{owner}: `layers` must be keras.layers or custom_layers. "
        f"Received: layers={name!r}. Pass one of these modules, or its name."
    )


class TextTranslator(keras.Model):
    """Strings in, strings out; a subclass writes `decode` and `check_sentences`."""

    def decode(
        self,
        texts: Any,
        temperature: Any = 1.0,
        seed: Any = 0,
        *,
        method: str = "greedy",
        beam_width: int = 4,
        **options: Any,
    ) -> tuple[Any, Any]:
        """Translate (batch,) strings in the graph: sentences (batch,) and tokens (batch, steps).

        A sentence without words gives an empty translation. Arguments as in `translate`; `options`
        are the others of `searched`.
        """
        raise NotImplementedError

    def check_sentences(self, texts: Sequence[str]) -> None:
        """Raise and warn of single sentences as told in `translate`."""
        raise NotImplementedError

    def translate(
        self,
        texts: Sequence[str],
        method: str = "greedy",
        temperature: float = 1.0,
        beam_width: int = 4,
        length_penalty: float = 0.6,
        seed: int = 0,
        check: bool = True,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> list[str]:
        """Translate a batch of sentences; one loop in the graph, which ends with the last of them.

        Args:
            texts: list of strings.
            method: "greedy" (default), "sample" or "beam".
            temperature: > 0, for "sample": below 1 is more careful, above 1 bolder. Default 1.
            beam_width, length_penalty: for "beam". Defaults 4 and 0.6.
            seed: int, fixes the samples. Default 0.
            check: False for data that nobody typed: no error (a sentence without words becomes an
                empty one) and no warning about single sentences. Default True.
            top_k, top_p: for "sample": draw from the most probable tokens alone. Default: from all.

        Returns: list of strings; the unknown word is never among the words.

        Raises: TypeError when `texts` is no list of strings; ValueError for an unknown method, a
        temperature that is not positive, a beam below 1, or a sentence without any word.

        Warns (UserWarning) of sentences of unknown words only, whose translation is a guess, and
        of sentences longer than the longest translation, which may break off.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise TypeError(
                "translate: `texts` must be a list of strings. "
                f"Received: texts={texts!r}. Put a single sentence in a list."
            )
        if method not in METHODS:
            raise ValueError(
                f"translate: `method` must be one of {', '.join(METHODS)}. "
                f"Received: method={method!r}."
            )
        if not temperature > 0:
            raise ValueError(
                "translate: `temperature` must be greater than 0. Received: "
                f"temperature={temperature}. Use method='greedy' for the most probable words."
            )
        if not texts:
            return []
        if check:
            self.check_sentences(texts)
        options: dict[str, Any] = {"method": method}
        if method == "beam":
            options |= {"beam_width": beam_width, "length_penalty": length_penalty}
        elif method == "sample":
            options |= {"top_k": top_k, "top_p": top_p}
        sentences, _ = self._compiled(options)(
            tf.constant(list(texts)),
            tf.constant(temperature, tf.float32),
            tf.constant(seed, tf.int32),
        )
        return [sentence.decode() for sentence in sentences.numpy()]

    def _compiled(self, options: dict[str, Any]) -> Any:
        """One graph for each way of decoding, for batches and sentences of any size."""
        key = str(options)
        if key not in self.__dict__.setdefault("graphs", {}):
            self.__dict__["graphs"][key] = tf.function(
                lambda texts, temperature, seed: self.decode(texts, temperature, seed, **options),
                input_signature=[
                    tf.TensorSpec([None], tf.string),
                    tf.TensorSpec([], tf.float32),
                    tf.TensorSpec([], tf.int32),
                ],
            )
        return self.__dict__["graphs"][key]


def searched(
    step: Any,
    state: Any,
    *,
    method: str,
    temperature: Any,
    seed: Any,
    beam_width: int,
    length_penalty: float = 0.6,
    top_k: int | None = None,
    top_p: float | None = None,
    **shared: Any,
) -> Any:
    """`Decoded` by one of `METHODS`; `shared` is what all of them take."""
    if method == "greedy":
        return greedy(step, state, **shared)
    if method == "sample":
        drawn = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
        return sample(step, state, **drawn, **shared)
    return beam_search(step, state, beam_width=beam_width, length_penalty=length_penalty, **shared)
