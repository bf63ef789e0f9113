"""Adam in one pass, beside Keras's own in ten, and with rates of their own for some variables."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from stt_model.training.learner import _Adam

SHAPES = [(3, 5), (5,), (5, 2)]


def moved(make, steps, factors=None):
    """Return where variables are after some steps, and the moments of the first of them."""
    random = np.random.default_rng(1)
    variables = [keras.Variable(random.normal(size=shape).astype(np.float32)) for shape in SHAPES]
    optimizer = make(0.01, 0.8, 0.99, epsilon=1e-6, name="adam")
    optimizer.build(variables)
    if factors:
        optimizer.factors = factors

    @tf.function
    def step(gradients):
        optimizer.apply_gradients(list(zip(gradients, variables, strict=True)))

    for _ in range(steps):
        # Between tiny and huge, so that epsilon and the corrections for a young Adam show.
        step([tf.constant(random.lognormal(0, 4, shape), tf.float32) for shape in SHAPES])
    return [np.asarray(each.value) for each in (*variables, *optimizer._momentums)]


@pytest.mark.parametrize("steps", [1, 2, 30])
def test_it_is_kerass_adam(steps):
    for found, expected in zip(
        moved(_Adam, steps), moved(keras.optimizers.Adam, steps), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-7)


def test_a_factor_makes_a_variable_learn_slower():
    start, usual, slower = (
        moved(_Adam, 0),
        moved(_Adam, 1),
        moved(_Adam, 1, {1: 0.25}),
    )
    for place in range(len(SHAPES)):
        factor = 0.25 if place == 1 else 1
        np.testing.assert_allclose(
            slower[place] - start[place], factor * (usual[place] - start[place]), rtol=1e-3
        )
