# %% [markdown]
# # Tune a method, and serve the best
#
# **What you will have at the end:** γ of feature map augmentation (FMA) found by a grid search with
# KerasTuner, with a floor on clean accuracy; the best model as a verified SavedModel with a model
# card; and the same net as TensorFlow Lite files in float32 and int8, compared with it.
#
# On digits with a LeNet. For other data change `datasets.load("digits")` in two places, for another
# method the one that is made in the search: `tuning.space` has the papers' ranges for each. On the
# command line: `tfrobust tune`, `tfrobust export`, `tfrobust verify`.
# %%
# %matplotlib inline
import functools
import json
import pathlib

import keras
import matplotlib.pyplot as plt
import tensorflow as tf

from tfrobust import augment, datasets, evaluation, methods, nets, reports, saving, serving, tuning
from tfrobust.trainer import fit

keras.utils.set_random_seed(0)
# %% tags=["settings"]
epochs = 12  # quick: 8
trial_epochs = 5  # quick: 1
trials = 3  # quick: 2
images_used = {"train": 2000, "validation": 240, "test": 400}  # quick: {"test": 60}

data = datasets.load("digits", batch_size=64, images=images_used)
# %% [markdown]
# ## The model to start from
# %%
baseline = methods.Baseline(nets.lenet(data.image_shape, data.classes, norm="bn"))
fit(baseline, data, epochs=epochs, learning_rate=0.05, verbose=0)
saving.save_model(baseline, "baseline.keras")
individual = augment.table_1()
evaluator = evaluation.Evaluator({**individual, **augment.combinations(individual)})
before = evaluator.rows(baseline, data, split="validation", model_name="baseline")
print(f"clean validation accuracy: {100 * before[0].value:.2f}%")
# %% [markdown]
# ## The search
#
# The library contains the published ranges, with their sources. Trials are ranked by the mean
# accuracy on augmented validation images, among those whose clean accuracy is at most two points
# below the baseline's. An interrupted search resumes when the cell is run again.
# %%
space = tuning.space("feature_map_augmentation")
print(space[0].name, "in", space[0].values, "-", space[0].source)
found = tuning.search(
    lambda values: methods.FeatureMapAugmentation(
        saving.load_model("baseline.keras").net, augment=augment.combined(individual), **values
    ),
    lambda: datasets.load("digits", batch_size=64, images=images_used),
    space,
    "runs/gamma",
    trials=trials,
    epochs=trial_epochs,
    clean_floor=before[0].value - 0.02,
    conditions=evaluator,
    fit=functools.partial(fit, learning_rate=0.01, verbose=0),
)
# %%
records = [vars(trial) for trial in found]
about = json.loads(pathlib.Path("runs/gamma/tuning.json").read_text())
print(reports.trials_table(records, about).to_text())
# %%
reports.trials_figure(records, about, title="Clean and robust accuracy against γ")
# %% [markdown]
# ## The best, on the test images
#
# The search kept the weights of its best epoch. After such a short search the differences are small
# compared with the standard error below the table.
# %%
best = saving.load_model("runs/gamma/model.keras")
name = f"FMA, γ {found[0].values['gamma']:.3g}"
rows = [
    *evaluator.rows(baseline, data, model_name="baseline"),
    *evaluator.rows(best, data, model_name=name),
]
print(reports.robustness_table(rows, baseline="baseline").to_text())
# %% [markdown]
# ## A SavedModel with a model card
#
# It takes float or 8-bit images, or JPEG and PNG files, and needs only TensorFlow. The card takes
# its numbers from rows measured with exactly these weights.
# %%
serving.export(
    best,
    "savedmodels/digits",
    version=1,
    class_names=data.class_names,
    name=name,
    dataset="digits",
    rows=rows,
)
verified = serving.verify("savedmodels/digits")
print(f"{verified.files} files as exported, {verified.examples} recorded images answered alike")
card = pathlib.Path("savedmodels/digits/1/assets.extra/card.md").read_text()
print(*card.splitlines()[:7], sep="\n")
# %% [markdown]
# A request with PNG files, as a client would send it; one is damaged, and the other is still
# answered.
# %%
images, labels = (part[:4] for part in next(iter(data.test)))
files = [tf.io.encode_png(tf.cast(tf.round(255 * image), tf.uint8)) for image in images]
files[3] = tf.constant(b"no picture")
served = tf.saved_model.load("savedmodels/digits/1").signatures["serving_bytes"]
answer = served(images=tf.stack(files))
for label, said, ok, error in zip(
    labels, *(answer[key].numpy() for key in ("class", "ok", "error"))
):
    print(f"true {data.class_names[label]}, served {said.decode()!r}", "" if ok else error.decode())
# %% [markdown]
# ## TensorFlow Lite
#
# For phones and embedded devices. Each file is compared with the Keras model before it is put in
# place; int8 is calibrated on some training images.
# %%
exported = {
    "float32": serving.export_tflite(best, "digits.tflite", data=data.test),
    "int8": serving.export_tflite(
        best,
        "digits_int8.tflite",
        quantization="int8",
        calibration=data.train.take(4),
        data=data.test,
    ),
}
for kind, file in exported.items():
    print(
        f"{kind:8} {file.bytes:7,} bytes, {100 * file.accuracy:.2f}% right, "
        f"{100 * file.agreement:.2f}% as the Keras model"
    )
# %%
figure, axes = plt.subplots(figsize=(5, 1.8), layout="constrained")
bars = axes.barh(
    list(exported), [file.bytes / 1000 for file in exported.values()], color="0.7", edgecolor="0.2"
)
axes.bar_label(bars, [f" {100 * file.accuracy:.2f}% right" for file in exported.values()])
axes.set(xlabel="Size of the file (kB)", title="TensorFlow Lite files")
axes.margins(x=0.5)
plt.close(figure)
figure
