"""The job of training: find the starting point, refuse what cannot work, train."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_model.base import (
    SurgeryError,
    TrainingError,
    check_output,
    configure,
)
from stt_model.checkpoint import (
    Checkpoint,
    Geometry,
    open_checkpoint,
    operate,
    settle_audio,
    start_from_scratch,
)
from stt_model.corpus import USUAL_AUDIO, AudioSettings, iter_manifest
from stt_model.jobs import startup
from stt_model.jobs.checkpoints import check_scorer_fits
from stt_model.jobs.reports import write_report
from stt_model.jobs.starting_point import (
    check_n_hidden,
    check_start_from_scratch,
    is_new_folder,
    open_source,
    same_place,
    target_alphabet,
)
from stt_model.network import is_chief
from stt_model.text import Alphabet, with_labels
from stt_model.training import (
    TrainingConfig,
    find_run,
    fit,
    is_to_go_on_from,
    of_this_run,
    run_folder,
)

if TYPE_CHECKING:
    from stt_model.training import TrainingResult

log = logging.getLogger(__name__)

DEFAULT_N_HIDDEN = 2048
"""Width of a network from scratch: that of the released checkpoints."""


@dataclass(frozen=True)
class PreparedTraining:
    """A training whose settings and inputs passed every quick check."""

    config: TrainingConfig
    """As given; ``run`` adds the checkpoint to start from."""
    source: Checkpoint | None
    """What training starts from, before surgery; None for training from scratch."""
    alphabet: Alphabet
    """Of the model to be trained."""
    test_files: Sequence[Path]
    drop_source_layers: int
    warm_start: bool
    scratch: Geometry | None
    """The network of a training from scratch."""
    audio: AudioSettings
    """How the model's features are computed from audio."""
    run_state_uri: str
    report: str | Path | None
    train_on: bool = False
    """Whether another run may start from a finished one in the folder."""

    def run(self) -> TrainingResult:
        """Train; an interrupted run resumes from what it saved.

        Raises:
            StoppedError: SIGTERM ended it; its state is saved.
            BootstrapError: any other failure that the user can fix.
        """
        startup.start_tensorflow()
        from stt_model.corpus import read_samples

        if self.test_files:
            # Checked now, not after hours of training.
            read_samples(self.test_files, self.alphabet, self.audio)
        target = self.config.save_checkpoint_dir
        uri = of_this_run(self.run_state_uri)
        with run_folder(uri, target, writes=is_chief()) as (folder, after_save):
            asked = replace(self.config, origin=self.origin())
            if self.train_on and _starts_another(asked, folder):
                asked = replace(asked, restart=True)
            result = self._train(asked, folder, after_save)
        if result.is_chief:
            write_report(self.report, result.to_markdown())
        return result

    def _train(
        self, asked: TrainingConfig, folder: Path, after_save: Callable[[], None]
    ) -> TrainingResult:
        from stt_model.training import train as run_training

        with self._start(folder, asked.restart) as start:
            config = replace(
                asked,
                load_checkpoint_dir=start.directory,
                load_train=start.which,
                alphabet=start.alphabet,
                save_checkpoint_dir=folder,
            )
            return run_training(config, after_save)

    @contextmanager
    def _start(self, folder: Path, restart: bool) -> Iterator[Checkpoint]:
        """Yield the checkpoint to train: the source as it is or after surgery, or a new one."""
        run = None if restart else find_run(folder)
        if run:
            # Surgery was done when the run began.
            yield run[0]
            return
        source = self.source
        if source is not None and source.alphabet == self.alphabet and not self.drop_source_layers:
            yield source
            return
        with tempfile.TemporaryDirectory(prefix="stt-bootstrap-") as temporary:
            made = Path(temporary) / "source"
            if source is None:
                assert self.scratch is not None
                seed = self.config.random_seed
                start_from_scratch(made, self.alphabet, self.scratch, seed=seed, audio=self.audio)
            else:
                self._operate(source, made)
            yield open_checkpoint(made)

    def _operate(self, source: Checkpoint, output_dir: Path) -> None:
        try:
            operate(
                source.directory,
                output_dir,
                which=source.which,
                source_alphabet=source.alphabet,
                target_alphabet=self.alphabet,
                mode="transfer" if self.drop_source_layers else "fine-tune",
                drop_source_layers=self.drop_source_layers,
                seed=self.config.random_seed,
                warm_start=self.warm_start,
            )
        except SurgeryError as error:
            raise SurgeryError(f"{source.prefix}: {error}") from error

    def origin(self) -> Mapping[str, str]:
        """Return how the starting point is made; a run only resumes with the same one."""
        if self.config.load_train == "init":
            made_from = str(self.scratch)
            if self.audio != USUAL_AUDIO:
                made_from += f", {self.audio}"
        elif self.source is None or same_place(
            self.source.directory, self.config.save_checkpoint_dir
        ):
            # The run itself changes the files there.
            made_from = "the same folder as --save_checkpoint_dir"
        else:
            made_from = self.source.digest()
        return {
            "load_train": self.config.load_train,
            "load_checkpoint_dir": made_from,
            "drop_source_layers": str(self.drop_source_layers),
            "warm_start": str(self.warm_start),
            "alphabet_config_path": self.alphabet.digest,
        }


def prepare_training(
    train_files: Sequence[str | Path],
    dev_files: Sequence[str | Path] = (),
    *,
    save_checkpoint_dir: str | Path,
    load_checkpoint_dir: str | Path | None = None,
    load_train: str = "auto",
    test_files: Sequence[str | Path] = (),
    alphabet: Alphabet | None = None,
    drop_source_layers: int = 0,
    warm_start: bool = True,
    keep_source_labels: bool = False,
    n_hidden: int | None = None,
    layer_norm: bool = False,
    audio_sample_rate: int | None = None,
    feature_win_len: int | None = None,
    feature_win_step: int | None = None,
    run_state_uri: str = "",
    scorer_uri: str | Path = "",
    vocab_file: Path | None = None,
    report: str | Path | None = None,
    train_on: bool = False,
    **settings: Any,
) -> PreparedTraining:
    """Do every quick check of a training; see ``train``."""
    target_dir = Path(save_checkpoint_dir)
    source_dir = Path(load_checkpoint_dir or save_checkpoint_dir)
    restart = bool(settings.get("restart"))
    _check_folders(source_dir, target_dir, load_train, drop_source_layers, restart)
    manifests = [[Path(path) for path in paths] for paths in (train_files, dev_files, test_files)]
    for path in (path for paths in manifests for path in paths):
        next(iter_manifest(path), None)
    source = None
    if load_train == "auto" and not drop_source_layers and is_new_folder(source_dir, target_dir):
        log.info("%s: no checkpoint there yet: training from scratch", target_dir)
    elif load_train != "init":
        source = open_source(source_dir, load_train, drop_source_layers, alphabet)
        check_n_hidden(n_hidden, source)
    audio = settle_audio(
        {
            "audio_sample_rate": audio_sample_rate,
            "feature_win_len": feature_win_len,
            "feature_win_step": feature_win_step,
        },
        source.audio if source else None,
        str(source_dir),
    )
    target = target_alphabet(manifests, source, alphabet, drop_source_layers)
    if alphabet is None and source is not None and keep_source_labels:
        target = with_labels(target, source.alphabet.labels)
    config = configure(
        TrainingConfig,
        train_files=manifests[0],
        dev_files=manifests[1],
        load_checkpoint_dir=source_dir,
        load_train=load_train,
        save_checkpoint_dir=target_dir,
        **settings,
    )
    config.check()
    check_scorer_fits(scorer_uri, target, vocab_file)
    scratch = None
    if source is None:
        scratch = Geometry(n_hidden or DEFAULT_N_HIDDEN, target.classes, layer_norm=layer_norm)
    return PreparedTraining(
        config=config,
        source=source,
        alphabet=target,
        test_files=manifests[2],
        drop_source_layers=drop_source_layers,
        warm_start=warm_start,
        scratch=scratch,
        audio=audio,
        run_state_uri=run_state_uri,
        report=report,
        train_on=train_on,
    )


def _check_folders(
    source_dir: Path, target_dir: Path, load_train: str, drop_source_layers: int, restart: bool
) -> None:
    check_output(target_dir, is_folder=True)
    if load_train == "init":
        check_start_from_scratch(target_dir, drop_source_layers, restart)
    elif drop_source_layers and same_place(source_dir, target_dir):
        raise TrainingError(
            f"{target_dir}: --drop_source_layers would overwrite its own source; give"
            " --save_checkpoint_dir another folder than --load_checkpoint_dir"
        )


def train(
    train_files: Sequence[str | Path],
    dev_files: Sequence[str | Path] = (),
    *,
    save_checkpoint_dir: str | Path,
    load_checkpoint_dir: str | Path | None = None,
    load_train: str = "auto",
    test_files: Sequence[str | Path] = (),
    alphabet: Alphabet | None = None,
    drop_source_layers: int = 0,
    warm_start: bool = True,
    keep_source_labels: bool = False,
    n_hidden: int | None = None,
    layer_norm: bool = False,
    audio_sample_rate: int | None = None,
    feature_win_len: int | None = None,
    feature_win_step: int | None = None,
    run_state_uri: str = "",
    scorer_uri: str | Path = "",
    report: str | Path | None = None,
    train_on: bool = False,
    **settings: Any,
) -> TrainingResult:
    """Fine-tune a checkpoint, transfer it to another alphabet, or train from scratch.

    Args:
        train_files: manifests to train on, CSV files in Coqui's form.
        dev_files: manifests that determine the best epoch.
        save_checkpoint_dir: folder for the trained checkpoint.
        load_checkpoint_dir: checkpoint to start from; by default ``save_checkpoint_dir``, in place.
        load_train: best, last, auto (best, else last), or init for training from scratch.
        test_files: manifests that the model will be tested on: their transcripts are checked
            beforehand and count for an alphabet that is built.
        alphabet: of the model. By default the source's, or after a transfer and from scratch one
            that is built from the transcripts.
        drop_source_layers: layers to replace, counted from the output: 1 to 5; 0 fine-tunes.
        warm_start: see ``replace_layers``.
        keep_source_labels: add the checkpoint's labels to an alphabet that is built.
        n_hidden: width of the layers, from scratch.
        layer_norm: normalise the layers, from scratch.
        audio_sample_rate: sample rate of the model in Hz, from scratch.
        feature_win_len: length of a frame in ms, from scratch.
        feature_win_step: time between the starts of two frames in ms, from scratch.
        run_state_uri: folder for the state of the run, as a path, ``file://`` or ``s3://`` URI.
        scorer_uri: language model that the model will be tested with; one for another alphabet is
            refused before training.
        report: where the report is written.
        train_on: if the folder holds a finished run, start another from the checkpoint that
            ``load_train`` names there, as Coqui STT does; by default nothing is done.
        settings: fields of ``TrainingConfig``, such as ``epochs`` and ``learning_rate``.

    Raises:
        StoppedError: SIGTERM ended it; its state is saved.
        BootstrapError: any other failure that the user can fix.
    """
    return prepare_training(
        train_files,
        dev_files,
        save_checkpoint_dir=save_checkpoint_dir,
        load_checkpoint_dir=load_checkpoint_dir,
        load_train=load_train,
        test_files=test_files,
        alphabet=alphabet,
        drop_source_layers=drop_source_layers,
        warm_start=warm_start,
        keep_source_labels=keep_source_labels,
        n_hidden=n_hidden,
        layer_norm=layer_norm,
        audio_sample_rate=audio_sample_rate,
        feature_win_len=feature_win_len,
        feature_win_step=feature_win_step,
        run_state_uri=run_state_uri,
        scorer_uri=scorer_uri,
        report=report,
        train_on=train_on,
        **settings,
    ).run()


def _starts_another(config: TrainingConfig, folder: Path) -> bool:
    run = None if config.restart else find_run(folder)
    if not run or not run[1].is_over:
        return False
    # Settings that are chosen for the corpus are part of the run's identity.
    fitted = fit(config, run[0], run[1].source["lineage"])
    if not is_to_go_on_from(run[1], fitted.identity(), fitted.epochs):
        return False
    log.info(
        "%s: the run there is finished, in epoch %d: starting another from %s",
        folder,
        run[1].epoch - 1,
        {"init": "scratch", "last": "its last checkpoint"}.get(config.load_train, "the best"),
    )
    return True
