"""The network, Adam and their steps, on every device of this machine."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stt_model import network
from stt_model.checkpoint import Geometry, Moments, Weights
from stt_model.features import BATCH_SIGNATURE
from stt_model.network import ctc_loss, workers_of
from stt_model.training.config import PRECISIONS, TrainingConfig
from stt_model.training.loss_scale import LossScale

# One graph for all batch shapes: with special graphs for the first shapes, the last bits of a
# result would depend on the batch that a process began with.
_any_batch = tf.function(input_signature=[BATCH_SIGNATURE])
_any_scaled_batch = tf.function(input_signature=[BATCH_SIGNATURE, tf.TensorSpec([], tf.float32)])


class Step(NamedTuple):
    """The result of a step: the loss of each utterance in nats, float32 [batch].

    ``applied`` is False if a loss or the gradient was not finite: then no weight has changed.
    """

    losses: NDArray[np.float32]
    applied: bool


class Heard(NamedTuple):
    """The network's results for a batch, without dropout.

    ``losses`` are nats, float32 [batch], of all workers. ``labels`` are the best of each frame,
    int32 [share, frames], of this worker's share only; the blank after an utterance's end.
    """

    losses: NDArray[np.float32]
    labels: NDArray[np.int32]


class _Adam(keras.optimizers.Adam):
    """Adam in one pass over each variable, with separate learning rates for some of them.

    Keras makes some ten passes, each over more memory than fits into a cache. TensorFlow's
    operation, which Coqui used too, computes the same in one.
    """

    factors: Mapping[int, float] = {}
    """Factors of the learning rate, by the index of a variable."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        place = self._get_variable_index(variable)
        updates = tf.cast(self.iterations + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[place].value.handle,
            v=self._velocities[place].value.handle,
            beta1_power=tf.pow(self.beta_1, updates),
            beta2_power=tf.pow(self.beta_2, updates),
            lr=learning_rate * self.factors.get(place, 1.0),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


class Learner:
    """A network and its optimizer under a strategy, and all of their state."""

    def __init__(
        self,
        geometry: Geometry,
        config: TrainingConfig,
        strategy: tf.distribute.Strategy,
        precision: str = "off",
    ) -> None:
        self.geometry = geometry
        self.strategy = strategy
        self._workers = workers_of(strategy).count
        self._clip_norm = config.clip_norm
        self._betas = config.beta1, config.beta2
        self.loss_scale = LossScale() if precision == "float16" else None
        keras.utils.set_random_seed(config.random_seed)
        with strategy.scope():
            self.model = network.build(
                geometry,
                config.dropout_rates,
                config.random_seed,
                PRECISIONS[precision],
            )
            self.optimizer = _Adam(
                config.learning_rate, config.beta1, config.beta2, epsilon=config.epsilon
            )
            self.optimizer.build(self.model.trainable_variables)
        self._trained = self.model.trainable_variables
        self._trace_anew()

    def _trace_anew(self) -> None:
        self._train_on_batch = self._step_of(self._trained)
        self._hear_batch = _any_batch(self._hear_on_all)

    def set_precision(self, precision: str) -> None:
        """Change the precision to another of ``config.PRECISIONS``, except to or from float16."""
        network.set_precision(self.model, PRECISIONS[precision])
        self._trace_anew()

    def train_only(self, layers: Collection[str]) -> None:
        """Train only these layers of the checkpoint from now on."""
        self._trained = network.variables_of(self.model, self.geometry, layers)
        self._trace_anew()

    def slow_down(self, layers: Collection[str], factor: float) -> None:
        """Train these layers of the checkpoint with ``factor`` times the learning rate."""
        variables = network.variables_of(self.model, self.geometry, layers)
        place_of = self.optimizer._get_variable_index
        self.optimizer.factors = {place_of(variable): factor for variable in variables}

    def train_all(self) -> None:
        """Train all layers from now on, with Adam reset to its initial state."""
        self._trained = self.model.trainable_variables
        self._trace_anew()
        # Weights that were frozen would take steps of three times the learning rate: the mean of
        # the squared gradients rises far more slowly than that of the gradients, and only a fresh
        # Adam corrects for it.
        self.load_moments(None, 0)

    def train_step(self, batch: Mapping[str, Any]) -> Step:
        """Update the weights by one batch, unless a loss or the gradient is not finite.

        If the gradient overflowed only in float16, the step is repeated with a lower scale.
        """
        scale = self.loss_scale
        losses, loss_is_finite, applied = self._train_on_batch(batch, scale.factor if scale else 1)
        if scale and applied:
            scale.grow()
        elif scale and loss_is_finite and scale.shrink():
            return self.train_step(batch)
        return Step(self._gather(losses), bool(applied))

    def hear(self, batch: Mapping[str, Any]) -> Heard:
        """Return the losses of a batch, and the best labels of this worker's share."""
        losses, labels = self._hear_batch(batch)
        return Heard(self._gather(losses), self._own(labels))

    def wait_for_all(self) -> None:
        """Return when every worker has called this."""
        if self._workers > 1:
            self.strategy.gather(self.strategy.run(lambda: tf.zeros([1])), axis=0)

    def compare_precisions(
        self, batch: Mapping[str, Any], utterances: int, exact: str, other: str
    ) -> tuple[float, float, float]:
        """Compute the first utterances of a batch in two precisions, without dropout.

        From then on the network uses the second one.

        Returns:
            The mean loss in the first, in nats; its difference in the second; and the norm of the
            difference of the gradients over the norm of the first gradient.
        """
        few = {name: array[:utterances] for name, array in batch.items()}
        expected_loss, expected = self._plain_gradients(few, exact)
        loss, gradients = self._plain_gradients(few, other)
        differences = [one - two for one, two in zip(gradients, expected, strict=True)]
        share = tf.linalg.global_norm(differences) / tf.linalg.global_norm(expected)
        return float(expected_loss), abs(float(loss - expected_loss)), float(share)

    # State

    def weights(self) -> Weights:
        """Return the weights under the checkpoint's names."""
        return network.export_weights(self.model, self.geometry)

    def load_weights(self, weights: Weights) -> None:
        """Load the weights of a checkpoint."""
        network.load_weights(self.model, self.geometry, weights)

    @property
    def iterations(self) -> int:
        """The updates that Adam has done."""
        return int(self.optimizer.iterations.numpy())

    def moments(self) -> Moments | None:
        """Return Adam's moments under the checkpoint's names; None before the first update."""
        if not self.iterations:
            return None
        return network.export_slots(self.model, self.geometry, self.optimizer)

    def load_moments(self, moments: Moments | None, iterations: int) -> None:
        """Restore Adam's state after so many updates; without moments, its initial state."""
        self.optimizer.iterations.assign(iterations)
        if moments is None:
            for variable in (*self.optimizer._momentums, *self.optimizer._velocities):
                variable.assign(np.zeros(variable.shape, np.float32))
        else:
            network.load_slots(self.model, self.geometry, self.optimizer, moments)

    def beta_powers(self) -> tuple[float, float]:
        """Return Adam's betas to the power of the updates done plus one, as TensorFlow 1 does."""
        first, second = self._betas
        return first ** (self.iterations + 1), second ** (self.iterations + 1)

    def set_learning_rate(self, learning_rate: float) -> None:
        """Change the learning rate."""
        self.optimizer.learning_rate.assign(learning_rate)

    def random_state(self) -> dict[str, list[int]]:
        """Return the state of dropout's generators, by layer."""
        return {
            name: [int(part) for part in np.asarray(generator.state)]
            for name, generator in self._generators().items()
        }

    def load_random_state(self, states: Mapping[str, list[int]]) -> None:
        """Restore the state of dropout's generators from ``random_state``."""
        for name, generator in self._generators().items():
            generator.state.assign(np.array(states[name], generator.state.dtype))

    def _generators(self) -> dict[str, keras.random.SeedGenerator]:
        return {
            layer.name: layer.seed_generator
            for layer in self.model.layers
            if isinstance(layer, keras.layers.Dropout) and layer.rate > 0
        }

    # Steps

    def _gather(self, per_replica: Any) -> NDArray[np.float32]:
        if self._workers > 1:
            return np.asarray(self.strategy.gather(per_replica, axis=0))
        return self._own(per_replica)

    def _own(self, per_replica: Any) -> Any:
        parts = self.strategy.experimental_local_results(per_replica)
        return np.concatenate([part.numpy() for part in parts])

    def _step_of(self, variables: Sequence[keras.Variable]) -> Callable[..., Any]:
        @_any_scaled_batch
        def step(batch: Mapping[str, Any], scale: Any) -> Any:
            losses, gradients, *finite = self.strategy.run(
                self._gradients, args=(batch, scale, variables)
            )
            # All replicas have the same result.
            loss_is_finite, applied = (
                self.strategy.experimental_local_results(each)[0] for each in finite
            )
            if applied:
                self.strategy.run(self._apply, args=(gradients, variables))
            return losses, loss_is_finite, applied

        return step

    def _hear_on_all(self, batch: Mapping[str, Any]) -> Any:
        return self.strategy.run(lambda share: self._hear(self._part(share)), args=(batch,))

    def _plain_gradients(self, batch: Mapping[str, Any], precision: str) -> tuple[Any, list[Any]]:
        """Return the mean loss and its gradient on the first replica, in another precision."""
        self.set_precision(precision)

        def compute(batch: Mapping[str, Any]) -> tuple[Any, list[Any]]:
            with tf.GradientTape() as tape:
                losses = self._losses(batch, training=False)
                # Labels that do not fit into their frames have an infinite loss in any precision.
                loss = tf.reduce_mean(tf.where(tf.math.is_inf(losses), 0.0, losses))
            return loss, tape.gradient(loss, self._trained)

        results = _any_batch(lambda batch: self.strategy.run(compute, args=(batch,)))(batch)
        first_of = self.strategy.experimental_local_results
        return first_of(results[0])[0], [first_of(gradient)[0] for gradient in results[1]]

    def _hear(self, batch: Mapping[str, Any]) -> tuple[Any, Any]:
        logits = self.model(batch["features"], training=False)
        losses = ctc_loss(logits, batch["frames"], batch["labels"], batch["label_lengths"])
        best = tf.argmax(logits, axis=-1, output_type=tf.int32)
        heard = tf.sequence_mask(batch["frames"], tf.shape(best)[1])
        return losses, tf.where(heard, best, self.geometry.n_classes - 1)

    def _gradients(
        self, share: Mapping[str, Any], scale: Any, variables: Sequence[keras.Variable]
    ) -> tuple[Any, ...]:
        """Return a replica's losses, and the gradient of all replicas' mean loss.

        Also return whether that loss and that gradient are finite.
        """
        batch = self._part(share)
        context = tf.distribute.get_replica_context()
        # The mean is over the whole batch, so that two replicas compute the same as one.
        utterances = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.reduce_sum(batch["weights"]))
        with tf.GradientTape() as tape:
            losses = self._losses(batch, training=True)
            loss = tf.reduce_sum(losses * batch["weights"]) / utterances
            scaled = loss * scale if self.loss_scale else loss
        gradients = tape.gradient(scaled, variables)
        if self.loss_scale:
            gradients = [gradient / scale for gradient in gradients]
        loss, *gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, [loss, *gradients])
        norm = tf.linalg.global_norm(gradients)
        if self._clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self._clip_norm, use_norm=norm)
        loss_is_finite = tf.math.is_finite(loss)
        return losses, gradients, loss_is_finite, loss_is_finite & tf.math.is_finite(norm)

    def _apply(self, gradients: Any, variables: Sequence[keras.Variable]) -> None:
        # Keras sums over the replicas, which have the same gradient by now.
        replicas = self.strategy.num_replicas_in_sync
        shares = [gradient / replicas for gradient in gradients] if replicas > 1 else gradients
        self.optimizer.apply_gradients(zip(shares, variables, strict=True))

    def _losses(self, batch: Mapping[str, Any], training: bool) -> Any:
        logits = self.model(batch["features"], training=training)
        return ctc_loss(logits, batch["frames"], batch["labels"], batch["label_lengths"])

    def _part(self, share: Mapping[str, Any]) -> dict[str, Any]:
        """Return this replica's part of its worker's share; all parts are equally large."""
        context = tf.distribute.get_replica_context()
        replicas = context.num_replicas_in_sync // self._workers
        if replicas == 1:
            return dict(share)
        size = tf.shape(share["weights"])[0] // replicas
        start = context.replica_id_in_sync_group % replicas * size
        return {name: array[start : start + size] for name, array in share.items()}
