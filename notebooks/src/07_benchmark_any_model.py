# %% [markdown]
# # Benchmark any model
#
# **What you will have at the end:** the numbers of a Keras model, of a `.keras` file, of a
# SavedModel and of a plain function, all measured in the same way; a report of two models side by
# side as one HTML file; tables, heat maps, curves of accuracy against strength, a reliability
# diagram, and the images that a model got wrong.
#
# On digits. The same works with `datasets.load("cifar10")`, your own images
# (`datasets.load("folder", data_dir=...)`), a batched `tf.data.Dataset` or a pair of arrays.
# %%
# %matplotlib inline
import json
import pathlib

import keras
import numpy as np

from tfrobust import (
    attacks,
    augment,
    datasets,
    evaluation,
    methods,
    nets,
    recipes,
    reports,
    saving,
    serving,
)

keras.utils.set_random_seed(0)
# %% tags=["settings"]
epochs = 12  # quick: 6
corruptions = ["gaussian_noise", "shot_noise", "impulse_noise", "fog"]  # quick: ["shot_noise"]
images_used = {"train": 2000, "test": 400}  # quick: {"test": 60}

data = datasets.load("digits", batch_size=64, images=images_used)
# %% [markdown]
# ## Two models to measure
#
# One is a plain Keras model, independent of this library, that ends in a softmax; the other is
# trained with noise.
# %%
inputs = keras.Input(data.image_shape)
plain = keras.Model(
    inputs, keras.layers.Softmax()(nets.lenet(data.image_shape, 10, norm="bn")(inputs))
)
plain.compile(keras.optimizers.SGD(0.02, momentum=0.9), "sparse_categorical_crossentropy")
plain.fit(data.train, epochs=epochs, verbose=0)

robust = methods.AugmentationTraining(
    nets.lenet(data.image_shape, data.classes, norm="bn"), augment=augment.GaussianNoise((0.0, 0.3))
)
robust.compile(keras.optimizers.SGD(0.02, momentum=0.9))
history = robust.fit(data.train, epochs=epochs, verbose=0)
# %% [markdown]
# ## Any kind of model
#
# Models may return logits or probabilities; all take float32 images in [0, 1]. Range, size and
# classes are checked first, and a clean accuracy near chance stops the measurement and says what
# may be wrong. Each row says what it was measured on (`protocol`), and with what (`provenance`).
# %%
saving.save_model(plain, "plain.keras")
serving.export(plain, "savedmodels/plain")
forms = {
    "Keras model": plain,
    ".keras file": "plain.keras",
    "SavedModel": "savedmodels/plain",
    "function": lambda images: plain(images, training=False),
}
found = []
for name, model in forms.items():
    changed = evaluation.corrupted(["fog", "pixelate"], severities=[5])
    found += evaluation.benchmark(model, data, changed, model_name=name, verbose=False)
print(reports.robustness_table(found).to_text())

row = found[-1]
print(f"{row.metric} of the {row.model} under {row.corruption} {row.severity:g}: {row.value:.4f}")
print("protocol: ", row.protocol)
print("made with:", row.provenance)
# %% [markdown]
# ## A report of both
#
# `recipes.evaluate` measures, and writes rows, tables (CSV, JSON, Markdown, LaTeX), pictures and
# `report.html`, one file that you can open or send. It resumes where it was interrupted, and reuses
# the results in the folder. On the command line: `tfrobust evaluate`.
# %%
sigmas = [0.1, 0.2, 0.3, 0.4]
conditions = [
    *evaluation.corrupted(corruptions),
    *evaluation.swept("GN", augment.GaussianNoise(), sigmas),
    *evaluation.attacked({"FGSM": attacks.FGSM(2 / 255)}),
]
folder = pathlib.Path("runs/evaluation")
measured = recipes.evaluate(
    {"plain": plain, "noise": robust}, data, conditions, folder, verbose=False
)
print(*sorted(path.name for path in folder.iterdir()), sep="\n")
# %% [markdown]
# ## The same tables and figures here
#
# The benchmark's noise costs either net little on these digits, and training with noise gains
# nothing there. The curve has stronger noise.
# %%
print(reports.summary_table(measured).to_text())
# %%
print(reports.corruptions_table(measured).to_text())
# %%
reports.accuracy_heat_map(measured, model="noise", title="Trained with noise")
# %%
reports.strength_curves(measured, "GN", title="Gaussian noise of growing strength")
# %% [markdown]
# Is the difference more than chance? An interval from a paired bootstrap over the test images:
# %%
print(reports.differences_table(json.loads((folder / "differences.json").read_text())).to_text())
# %% [markdown]
# ## Calibration, and the worst mistakes
# %%
curves = json.loads((folder / "reliability.json").read_text())
curve = next(one for one in curves if one["model"] == "plain")
reports.reliability_diagram(curve, title="plain, clean test images")
# %%
shown = [one for one in json.loads((folder / "worst.json").read_text()) if one["model"] == "plain"]
with np.load(folder / "worst.npz") as pictures:
    clean, changed = (pictures[name][: len(shown)] for name in ("clean", "changed"))
reports.worst_examples(
    clean, changed, shown, title="Right on the clean picture, sure and wrong on the other"
)
