"""The job of a translation tutorial: data, training, evaluation, pictures, export, own sentences."""

from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from custom_layers.comparison import ComparisonInterrupted, ComparisonReport, compare
from custom_layers.comparison.checkpoint import last_checkpoint
from tutorials.translation import single_run
from tutorials.translation.evaluation import bleu_metric, translations_of
from tutorials.translation.export import export_keras, export_saved_model, load_translator
from tutorials.translation.inspection import inspectors

HELD_OUT_TOLERANCE = 0.003  # nats per token; two runs that differ by rounding stay within it
SHOWN = 10  # translations beside their references
PICTURES = 3
Say = Callable[[str], None]


class BadInput(ValueError):
    """What the user can mend; its text is one line."""


class Tutorial(NamedTuple):
    """What a tutorial brings to the job.

    presets: by the name in `--preset`: `steps`, `batch_size`, `bleu_limit`, and sizes of its own.
    namespaces: what a model is built from, by the name in `--layers`.
    several: a choice of `--layers` that trains more than one -> their names, the reference first.
    load: (arguments, preset) -> data with `train`, `held_out`, `train_pairs`, `held_out_pairs`.
    describe: data -> what they are, in words.
    sizes: (preset, arguments) -> what the model is, in words.
    build: (namespace, data, preset, steps, arguments) -> a compiled translator.
    save_pictures: (translators by name, sentences, folder, **decoding options) -> files written.
    """

    presets: Mapping[str, Any]
    namespaces: Mapping[str, Any]
    several: Mapping[str, Sequence[str]]
    load: Callable[[Namespace, Any], Any]
    describe: Callable[[Any], str]
    sizes: Callable[[Any, Namespace], str]
    build: Callable[[Any, Any, Any, int, Namespace], Any]
    save_pictures: Callable[..., list[Path]]


def names_of(tutorial: Tutorial, arguments: Namespace) -> list[str]:
    """Names of the models asked for."""
    return list(tutorial.several.get(arguments.layers, [arguments.layers]))


def decoding_options(arguments: Namespace) -> dict[str, Any]:
    """Arguments of `Translator.translate`."""
    if arguments.beam == 1:
        return {"method": "greedy"}
    return {"method": "beam", "beam_width": arguments.beam}


def run(tutorial: Tutorial, arguments: Namespace, say: Say) -> int:
    """Do what the command line asks. Returns the exit status.

    Raises: BadInput for what the user can mend; KeyboardInterrupt after Ctrl-C.
    """
    folder = Path(arguments.logdir)
    if arguments.steps == 0:
        answer_own_sentences(arguments, load_models(tutorial, arguments, folder))
        return 0
    preset = tutorial.presets[arguments.preset]
    steps = preset.steps if arguments.steps is None else arguments.steps
    say(f"reading the sentence pairs: {arguments.data}")
    try:
        data = tutorial.load(arguments, preset)
    except (ValueError, OSError) as error:
        raise BadInput(str(error)) from error
    say(
        f"{len(data.train_pairs.source):,} pairs to train on, {len(data.held_out_pairs.source):,} "
        f"held out, {tutorial.describe(data)}"
    )
    if not arguments.resume:
        remove_earlier_events(tutorial, folder, say)
    say(
        f"training {' and '.join(names_of(tutorial, arguments))}: {steps:,} steps, batches of "
        f"{preset.batch_size}, {tutorial.sizes(preset, arguments)}, seed {arguments.seed}; "
        "Ctrl-C keeps a checkpoint"
    )
    report = train(tutorial, arguments, data, preset, steps, folder)
    print(f"\n{report}\n", flush=True)
    finish(tutorial, arguments, data, report, folder, say)
    if arguments.check:
        problems = report.check(held_out=HELD_OUT_TOLERANCE)
        for problem in problems:
            print(f"check: {problem}")
        if problems:
            return 1
        print("check: all are equal within the tolerances")
    return 0


def train(
    tutorial: Tutorial, arguments: Namespace, data: Any, preset: Any, steps: int, folder: Path
) -> ComparisonReport:
    """Train one model by `fit`, or several side by side by `compare`."""

    def build(layers: Any) -> Any:
        return tutorial.build(layers, data, preset, steps, arguments)

    names = names_of(tutorial, arguments)
    every = max(1, steps // 10)
    bleu = bleu_metric(data.held_out_pairs, preset.bleu_limit, **decoding_options(arguments))
    try:
        if len(names) == 1:
            name = names[0]
            return single_run.train_alone(
                name,
                lambda: build(tutorial.namespaces[name]),
                data,
                steps=steps,
                seed=arguments.seed,
                log_dir=folder,
                checkpoint_every=every,
                inspectors=inspectors(data, folder / name, arguments.inspect_every),
                resume=arguments.resume,
                metrics={"BLEU": bleu},
            )
        return compare(
            build,
            data.train,
            steps=steps,
            held_out=data.held_out,
            namespaces={name: tutorial.namespaces[name] for name in names},
            seed=arguments.seed,
            log_dir=folder,
            checkpoint_dir=folder / "checkpoints" / arguments.layers,
            metrics={"BLEU": bleu},
            evaluate_every=max(1, steps // 4),
            checkpoint_every=every,
            callbacks=lambda name: inspectors(data, folder / name, arguments.inspect_every),
            resume=arguments.resume,
        )
    except ValueError as error:
        if arguments.resume:  # a checkpoint of other settings
            raise BadInput(str(error)) from error
        raise


def finish(
    tutorial: Tutorial,
    arguments: Namespace,
    data: Any,
    report: ComparisonReport,
    folder: Path,
    say: Say,
) -> None:
    """Translations, pictures, report and exports; and where they lie."""
    options = decoding_options(arguments)
    pairs = data.held_out_pairs
    shown = translations_of(report.models, pairs.source[:SHOWN], pairs.target[:SHOWN], **options)
    print(f"{SHOWN} held-out sentences:")
    print("\n".join(shown.lines()), end="\n\n", flush=True)

    say("drawing")
    report.save(folder)
    pictures = tutorial.save_pictures(
        report.models, pictured_sentences(pairs.source), folder / "pictures", **options
    )
    with (folder / "report.md").open("a", encoding="utf-8") as file:
        file.write(f"\n## Held-out sentences\n\n{shown.markdown()}\n\n## Attention\n\n")
        file.writelines(f"![attention](pictures/{path.name})\n\n" for path in pictures)

    say("exporting")
    for name, model in report.models.items():
        export_keras(model, folder / name / "translator.keras")
        export_saved_model(model, folder / name / "saved_model", **options)
    answer_own_sentences(arguments, report.models)

    any_name = next(iter(report.models))
    say("done")
    print(f"  report       {folder / 'report.md'}, {folder / 'report.json'}")
    print(f"  pictures     {folder}/*.png, {folder / 'pictures'}/*.png")
    print(f'  export       python {folder / any_name / "saved_model" / "load.py"} "TEXT"')
    print('  again        add  --steps 0 --translate "TEXT"  to ask these translators')
    print(f"  TensorBoard  tensorboard --logdir {folder}", flush=True)


def pictured_sentences(sources: list[str]) -> list[str]:
    """Sentences of middle length: long enough to show something, short enough to be read."""
    middle = [source for source in sources if 5 <= len(source.split()) <= 9]
    return (middle or sources)[:PICTURES]


def answer_own_sentences(arguments: Namespace, models: dict[str, Any]) -> None:
    """Print the translations of `--translate`."""
    if arguments.translate:
        for model in list(models.values())[:1]:
            model.check_sentences(arguments.translate)
        answers = translations_of(models, arguments.translate, **decoding_options(arguments))
        print("your sentences:")
        print("\n".join(answers.lines()), end="\n\n", flush=True)


def load_models(tutorial: Tutorial, arguments: Namespace, folder: Path) -> dict[str, Any]:
    """The translators that an earlier run left in `folder`."""
    paths = {name: folder / name / "translator.keras" for name in names_of(tutorial, arguments)}
    for path in paths.values():
        if not path.is_file():
            raise BadInput(f"there is no translator {path} yet. Train first, without --steps 0.")
    return {name: load_translator(path) for name, path in paths.items()}


def remove_earlier_events(tutorial: Tutorial, folder: Path, say: Say) -> None:
    """A new run replaces the old one's charts, or TensorBoard would mix the two."""
    runs = [folder / name for name in tutorial.namespaces]
    old = [path for run in runs for path in run.glob("events.out.tfevents.*")]
    if old:
        say(f"replacing the run in {folder} (choose another --logdir to keep it)")
    for path in old:
        path.unlink()


def after_interrupt(arguments: Namespace, error: BaseException) -> str:
    """The line that Ctrl-C ends with: which checkpoint is kept."""
    if isinstance(error, ComparisonInterrupted):
        kept = error.checkpoint
    else:
        kept = last_checkpoint(Path(arguments.logdir) / "checkpoints" / arguments.layers)
    if kept is None or not kept.exists():
        return "stopped; there is no checkpoint yet"
    return f"stopped; the last checkpoint is kept: {kept}. Go on with --resume"
