"""Weights from PyTorch: logits as in an independent forward pass, and no array goes unnoticed."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest

from tests.reference import resnet as reference
from tfrobust.nets import torch_weights
from tfrobust.nets.cifar_resnet import cifar_resnet
from tfrobust.nets.torch_weights import MEAN, STD, import_torch_resnet

ARRAYS = reference.cifar_arrays(8)
IMAGES = np.random.default_rng(1).random([3, 32, 32, 3], "float32")


@pytest.fixture
def saved(tmp_path):
    """Writes arrays to a file and returns its path."""

    def save(arrays, name="weights.npz"):
        np.savez(tmp_path / name, **arrays)
        return tmp_path / name

    return save


@pytest.fixture
def made_once(monkeypatch):
    """For tests in which the net only says what shapes it has: making it takes the time."""
    monkeypatch.setattr(torch_weights, "cifar_resnet", once)


MADE = {}


def once(*arguments, **options):
    made = repr((arguments, options))
    if made not in MADE:
        MADE[made] = cifar_resnet(*arguments, **options)
    return MADE[made]


@pytest.mark.parametrize("depth, classes, filters", [(20, 10, (16, 32, 64)), (8, 7, (4, 4, 10))])
def test_logits_match_reference(saved, depth, classes, filters):
    arrays = reference.cifar_arrays(depth, filters, classes)
    net = import_torch_resnet(saved(arrays))
    assert net.name == f"resnet_{depth}" and net.output_shape == (None, classes)
    logits = reference.forward(IMAGES, arrays, MEAN, STD)
    assert np.ptp(logits, axis=0).min() > 0.01  # the logits depend on the image
    np.testing.assert_allclose(net(IMAGES), logits, atol=1e-4)


def test_every_number_of_the_file_is_in_the_net(saved):
    net = import_torch_resnet(saved(ARRAYS))
    ours = np.sort(np.concatenate([weight.ravel() for weight in net.get_weights()]))
    theirs = np.sort(np.concatenate([array.ravel() for array in ARRAYS.values()]))
    np.testing.assert_array_equal(ours, theirs)


def test_another_size_and_normalisation(saved):
    images = IMAGES[:, :7, :9]
    net = import_torch_resnet(saved(ARRAYS), input_size=(7, 9), mean=0.5, std=(0.2, 0.3, 0.4))
    logits = reference.forward(images, ARRAYS, 0.5, (0.2, 0.3, 0.4))
    np.testing.assert_allclose(net(images), logits, atol=1e-4)


def test_order_in_the_file_and_counters_do_not_matter(saved):
    shuffled = dict(reversed(ARRAYS.items()))
    shuffled["bn1.num_batches_tracked"] = shuffled["layer2.0.bn1.num_batches_tracked"] = np.array(7)
    a, b = (import_torch_resnet(saved(arrays)) for arrays in (ARRAYS, shuffled))
    np.testing.assert_array_equal(a(IMAGES), b(IMAGES))


def test_weight_decay_and_name(saved):
    net = import_torch_resnet(saved(ARRAYS), weight_decay=0.2, name="mine")
    trainable = [a for name, a in ARRAYS.items() if "running" not in name]
    squares = sum(float((array.astype("float64") ** 2).sum()) for array in trainable)
    assert net.name == "mine"
    assert sum(map(float, net.losses)) == pytest.approx(0.1 * squares, rel=1e-5)


def test_a_net_that_was_read_is_saved_like_any_other(saved, tmp_path):
    net = import_torch_resnet(saved(ARRAYS))
    net.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(net(IMAGES), again(IMAGES))


@pytest.mark.parametrize("name", list(ARRAYS))
def test_missing(saved, name):
    arrays = {other: array for other, array in ARRAYS.items() if other != name}
    with pytest.raises(ValueError, match=re.escape(f"of depth 8; {name} is missing")):
        import_torch_resnet(saved(arrays))


@pytest.mark.parametrize(
    "names, first",
    [
        (["layer1.0.conv2.weight", "layer3.0.bn2.bias"], "layer1.0.conv2.weight"),
        ([name for name in ARRAYS if name.startswith("layer")], "layer1.0.conv1.weight"),
        (list(ARRAYS), "conv1.weight"),
    ],
)
def test_the_first_missing_is_named(saved, names, first):
    arrays = {name: array for name, array in ARRAYS.items() if name not in names}
    with pytest.raises(ValueError, match=re.escape(f"{first} is missing")):
        import_torch_resnet(saved(arrays))


def test_a_missing_block(saved):
    arrays = reference.cifar_arrays(20, (2, 2, 2))
    arrays = {name: array for name, array in arrays.items() if "layer2.2" not in name}
    with pytest.raises(ValueError, match=r"depth 20; layer2\.2\.conv1\.weight is missing"):
        import_torch_resnet(saved(arrays))


@pytest.mark.parametrize(
    "name",
    [
        "layer1.1.conv1.weight",  # a block more in one stage
        "layer4.0.conv1.weight",
        "layer2.0.shortcut.0.weight",  # option B
        "module.conv1.weight",
        "conv1.bias",
        "conv1.num_batches_tracked",
    ],
)
def test_left_over(saved, name):
    said = f"received {name} of shape (5, 2), which the net does not have"
    with pytest.raises(ValueError, match=re.escape(said)):
        import_torch_resnet(saved({**ARRAYS, name: np.zeros([5, 2], "float32")}))


@pytest.mark.parametrize(
    "name, has, received",
    [
        ("conv1.weight", (16, 3, 3, 3), (3, 3, 3, 16)),
        ("conv1.weight", (16, 3, 3, 3), (16, 1, 3, 3)),
        ("bn1.weight", (16,), (17,)),
        ("layer1.0.bn1.weight", (16,), (32,)),
        ("layer2.0.conv1.weight", (32, 16, 3, 3), (32, 32, 3, 3)),
        ("layer3.0.bn2.running_var", (64,), (1, 64)),
        ("linear.weight", (10, 64), (64, 10)),
        ("linear.bias", (10,), (11,)),
    ],
)
def test_shapes(saved, made_once, name, has, received):
    said = f"{name} of {{path}} must have shape {has}, as the net has; received {received}"
    path = saved({**ARRAYS, name: np.ones(received, "float32")})
    with pytest.raises(ValueError, match=re.escape(said.format(path=path))):
        import_torch_resnet(path)


def test_values(saved, made_once):
    broken = ARRAYS["bn1.bias"].copy()
    broken[3:5] = np.nan, np.inf
    for array, said in (
        (broken, "finite; received 2 NaN or infinite"),
        (np.full(16, "a"), "floating-point numbers; received dtype <U1"),
    ):
        with pytest.raises(ValueError, match=f"bn1.bias of .* must .*{said}"):
            import_torch_resnet(saved({**ARRAYS, "bn1.bias": array}))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.npz"):
        import_torch_resnet(tmp_path / "nothing.npz")


def damaged(content):
    """Files that are no .npz, or no longer one."""
    yield b""
    yield b"PK\x03\x04"
    yield b"not a file of weights at all, but long enough to be read as something"
    yield content[: len(content) // 2]
    yield content[:-10]
    middle = len(content) // 2
    yield content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]


def test_damaged_files(saved, tmp_path):
    content = saved(ARRAYS).read_bytes()
    path = tmp_path / "broken.npz"
    for broken in damaged(content):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"undamaged \.npz file.* received .*broken\.npz"):
            import_torch_resnet(path)
    np.save(tmp_path / "one.npy", np.ones(3))
    (tmp_path / "one.npy").replace(path)
    with pytest.raises(ValueError, match=r"undamaged \.npz file"):
        import_torch_resnet(path)


def test_nothing_pickled_is_unpickled(saved):
    with pytest.raises(ValueError, match=r"undamaged \.npz file"):
        import_torch_resnet(saved({**ARRAYS, "bn1.bias": np.array([{}], object)}))
