"""ResNets forward in inference, in NumPy, from arrays under their PyTorch names ([B, C, H, W])."""

from __future__ import annotations

import numpy as np


def convolution(x, kernel, stride):
    """Correlation with [out, in, h, w], zeros of half the kernel's size on every side."""
    size = kernel.shape[-1]
    pad = size // 2
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    rows = range(0, x.shape[2] - size + 1, stride)
    columns = range(0, x.shape[3] - size + 1, stride)
    result = np.empty([len(x), len(kernel), len(rows), len(columns)])
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            window = x[:, :, row : row + size, column : column + size]
            result[:, :, i, j] = np.tensordot(window, kernel, ([1, 2, 3], [1, 2, 3]))
    return result


def pooled(x):
    """3×3 maximum of stride 2; what is outside does not count."""
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    rows, columns = range(0, x.shape[2] - 2, 2), range(0, x.shape[3] - 2, 2)
    return np.stack(
        [np.stack([x[:, :, i : i + 3, j : j + 3].max((2, 3)) for j in columns], -1) for i in rows],
        2,
    )


def norm(x, arrays, name):
    """Batch norm with the moving statistics, ε = 1e-5."""
    gamma, beta, mean, variance = (
        arrays[f"{name}.{part}"].reshape(1, -1, 1, 1)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    return gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta


def option_a(x, channels, stride):
    """Every second pixel; zeros for the new channels, half before and half after the old ones."""
    result = np.zeros([len(x), channels, -(-x.shape[2] // stride), -(-x.shape[3] // stride)])
    before = (channels - x.shape[1]) // 2
    result[:, before : before + x.shape[1]] = x[:, :, ::stride, ::stride]
    return result


def forward(images, arrays, mean, std, stem_stride=1, max_pool=False):
    """Logits of images [B, H, W, C]; all that can be is read off the names of the arrays."""
    arrays = {name: np.asarray(array, "float64") for name, array in arrays.items()}
    x = np.transpose((np.asarray(images, "float64") - mean) / std, (0, 3, 1, 2))
    x = convolution(x, arrays["conv1.weight"], stem_stride)
    x = np.maximum(norm(x, arrays, "bn1"), 0)
    x = pooled(x) if max_pool else x
    blocks = dict.fromkeys(name.rsplit(".", 2)[0] for name in arrays if name.startswith("layer"))
    for block in [name for name in blocks if name.count(".") == 1]:
        stride = 2 if block.endswith(".0") and block != "layer1.0" else 1
        convolutions = [i for i in (1, 2, 3) if f"{block}.conv{i}.weight" in arrays]
        # Of 1×1, 3×3, 1×1 the middle one has the stride, of 3×3, 3×3 the first.
        strided = 2 if len(convolutions) == 3 else 1
        y = x
        for i in convolutions:
            y = convolution(y, arrays[f"{block}.conv{i}.weight"], stride if i == strided else 1)
            y = norm(y, arrays, f"{block}.bn{i}")
            y = np.maximum(y, 0) if i < len(convolutions) else y
        if f"{block}.downsample.0.weight" in arrays:
            x = convolution(x, arrays[f"{block}.downsample.0.weight"], stride)
            x = norm(x, arrays, f"{block}.downsample.1")
        elif x.shape != y.shape:
            x = option_a(x, y.shape[1], stride)
        x = np.maximum(x + y, 0)
    dense = arrays["linear.weight"], arrays["linear.bias"]
    return x.mean((2, 3)) @ dense[0].T + dense[1]


def cifar_arrays(depth, filters=(16, 32, 64), classes=10, seed=0):
    """Random weights and statistics of a CIFAR ResNet as a file of PyTorch weights holds them."""
    random = np.random.default_rng(seed)
    arrays = {}

    def add(name, inputs, outputs):
        kernel = random.normal(size=[outputs, inputs, 3, 3]) * np.sqrt(2 / (9 * inputs))
        arrays[f"{name[0]}.weight"] = kernel
        arrays[f"{name[1]}.weight"] = random.uniform(0.5, 1.5, outputs)
        arrays[f"{name[1]}.bias"] = random.normal(size=outputs) / 4
        arrays[f"{name[1]}.running_mean"] = random.normal(size=outputs) / 4
        arrays[f"{name[1]}.running_var"] = random.uniform(0.5, 2, outputs)

    add(("conv1", "bn1"), 3, filters[0])
    inputs = filters[0]
    for stage, width in enumerate(filters, start=1):
        for block in range((depth - 2) // 6):
            for i in (1, 2):
                add([f"layer{stage}.{block}.{kind}{i}" for kind in ("conv", "bn")], inputs, width)
                inputs = width
    arrays["linear.weight"] = random.normal(size=[classes, inputs]) / np.sqrt(inputs)
    arrays["linear.bias"] = random.normal(size=classes)
    return {name: array.astype("float32") for name, array in arrays.items()}
