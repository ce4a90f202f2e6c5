"""APGD against a plain loop over images in float64."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from tfrobust.attacks import APGD, PGD
from tfrobust.attacks.apgd import checkpoints_of, dlr

pytestmark = pytest.mark.usefixtures("eagerly")

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.uniform(0.05, 0.95, [7, 3, 4, 2]).astype("float32")
KERNELS = RANDOM.normal(0, 1, [24, 8]), RANDOM.normal(0, 1.5, [8, 4])


def net():
    layers = [keras.layers.Flatten(), keras.layers.Dense(8, "tanh"), keras.layers.Dense(4)]
    made = keras.Sequential([keras.Input([3, 4, 2]), *layers])
    made.set_weights([KERNELS[0], np.zeros(8), KERNELS[1], np.zeros(4)])
    return made


def logits_of(x):
    return np.tanh(x.reshape(-1, 24) @ KERNELS[0]) @ KERNELS[1]


def loss_and_slope(kind, x, label):
    """One image in float64; the slope of the loss by hand, through both layers."""
    hidden = np.tanh(x.reshape(24) @ KERNELS[0])
    z = hidden @ KERNELS[1]
    if kind == "ce":
        loss, upstream = scipy.special.logsumexp(z) - z[label], scipy.special.softmax(z)
        upstream = upstream - np.eye(4)[label]
    else:
        order = np.argsort(-z)
        other = order[0] if order[0] != label else order[1]
        above, below = z[other] - z[label], z[order[0]] - z[order[2]]
        loss = above / below
        upstream = (np.eye(4)[other] - np.eye(4)[label]) / below
        upstream = upstream - above / below**2 * (np.eye(4)[order[0]] - np.eye(4)[order[2]])
    slope = KERNELS[0] @ ((KERNELS[1] @ upstream) * (1 - hidden**2))
    return loss, slope.reshape(x.shape)


def by_hand(kind, image, label, epsilon, steps):
    """Algorithm 1 with its bookkeeping, from the image itself."""
    low, high = np.maximum(image - epsilon, 0), np.minimum(image + epsilon, 1)
    places = [0, 0.22]
    while places[-1] < 1:
        places.append(places[-1] + max(places[-1] - places[-2] - 0.03, 0.06))
    marks = {int(np.ceil(place * steps - 1e-9)) for place in places} - {0}
    x, before, eta = image.copy(), image.copy(), 2 * epsilon
    losses, best, last_eta, last_best, last_mark, found = [], (-np.inf, None), eta, 0.0, 0, None
    for t in range(steps + 1):
        loss, slope = loss_and_slope(kind, x, label)
        losses.append(loss)
        if logits_of(x)[0].argmax() != label:
            found = x.copy()
        if loss > best[0]:
            best = (loss, x.copy(), slope)
        if t in marks:
            rises = sum(losses[i + 1] > losses[i] for i in range(last_mark, t))
            if rises < 0.75 * (t - last_mark) or (eta == last_eta and best[0] == last_best):
                last_eta, eta = eta, eta / 2
                x, slope = best[1].copy(), best[2]
            else:
                last_eta = eta
            last_best, last_mark = best[0], t
        z = np.clip(x + eta * np.sign(slope), low, high)
        new = z if t == 0 else np.clip(x + 0.75 * (z - x) + 0.25 * (x - before), low, high)
        before, x = x, new
    return best[0], (best[1] if found is None else found)


@pytest.mark.parametrize("kind", ["ce", "dlr"])
def test_it_is_algorithm_1(kind):
    """At a radius that misclassifies some images, and with labels that are the net's own."""
    model, images = net(), IMAGES.astype("float64")
    labels = logits_of(images).argmax(axis=1)
    attack = APGD(kind, epsilon=0.06, steps=20, random_start=False)
    for i in range(3):  # one at a time, for a batch ends when all are misclassified
        moved = attack.perturb(model, IMAGES[i : i + 1], labels[i : i + 1]).numpy()[0]
        best, expected = by_hand(kind, images[i], labels[i], 0.06, 20)
        is_wrong = logits_of(expected)[0].argmax() != labels[i]
        if is_wrong:  # it stops there; the loop above goes on
            assert logits_of(moved.astype("float64"))[0].argmax() != labels[i]
        else:
            loss, _ = loss_and_slope(kind, moved.astype("float64"), labels[i])
            np.testing.assert_allclose(loss, best, rtol=1e-3, atol=1e-4)
            assert np.mean(np.abs(moved - expected) > 1e-3) < 0.1
        assert np.abs(moved - IMAGES[i]).max() < 0.06 + 1e-6


def test_checkpoints_are_the_papers():
    assert checkpoints_of(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints_of(1) == [] and checkpoints_of(5) == [2, 3, 4]


def test_it_finds_no_less_than_pgd():
    """Images that PGD of as many steps misleads, on a net with large logits."""
    model = net()
    model.layers[-1].kernel.assign(300 * KERNELS[1])
    labels = logits_of(IMAGES.astype("float64")).argmax(axis=1)
    right = [
        np.mean(np.argmax(model(attack.perturb(model, IMAGES, labels)), axis=1) == labels)
        for attack in (PGD(0.1, step_size=0.02, steps=20), APGD(epsilon=0.1, steps=20))
    ]
    assert right[1] <= right[0]


def test_dlr_does_not_change_with_the_scale_of_logits():
    z = RANDOM.normal(0, 1, [50, 5]).astype("float32")
    labels = np.arange(50) % 5
    values = dlr(tf.constant(z), labels).numpy()
    np.testing.assert_allclose(dlr(tf.constant(1e3 * z), labels), values, rtol=1e-4)
    np.testing.assert_array_equal(values > 0, z.argmax(axis=1) != labels)
    with pytest.raises(ValueError, match="DLR needs 3 classes or more; received 2"):
        dlr(tf.zeros([1, 2]), [0])


def test_constant_logits_stay_finite():
    model = net()
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    for kind in ("ce", "dlr"):
        moved = APGD(kind, steps=4).perturb(model, IMAGES, np.ones(7, int))
        assert np.isfinite(moved).all()


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="loss must be one of ce, dlr; received 'cw'"):
        APGD("cw")
    with pytest.raises(ValueError, match="steps must be"):
        APGD(steps=0)
