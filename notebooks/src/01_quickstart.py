# %% [markdown]
# # A robust classifier, step by step
#
# **What you will have at the end:** a small digit classifier made robust by stability training; a
# table of its gains under augmentations and common corruptions; and a SavedModel that any
# TensorFlow program can serve.
#
# The images are digits that come with scikit-learn, so nothing is downloaded. For CIFAR-10 write
# `datasets.load("cifar10")` (after `tfrobust datasets prepare cifar10`), for your own images, one
# folder per class, `datasets.load("folder", data_dir="my_pictures")`. Only the net, which may be
# any functional or Sequential Keras model, and the number of epochs change.
# %%
# %matplotlib inline
import keras
import tensorflow as tf

from tfrobust import augment, callbacks, datasets, evaluation, methods, nets, reports, serving

keras.utils.set_random_seed(0)
# %% tags=["settings"]
epochs = 12  # quick: 8
finetune_epochs = 6  # quick: 2
images_used = {"validation": 240, "test": 400}  # quick: {"validation": 60, "test": 60}
corruptions = "test"  # quick: ["fog", "contrast"]
# %% [markdown]
# ## The images, and what may happen to them
#
# Images are float32 in [0, 1]. Augmentations are Keras layers; `table_1` has the seven of the FMA
# paper, and Combined+ and Combined− apply five of them one after the other.
# %%
data = datasets.load("digits", batch_size=64, images=images_used)
individual = augment.table_1()
augmentations = {**individual, **augment.combinations(individual)}

images, labels = (part[:3] for part in next(iter(data.validation)))
pictures = [images, *(layer(images, training=True) for layer in augmentations.values())]
reports.augmentation_grid(
    tf.stack(pictures, axis=1), ["clean", *augmentations], title="Three validation images"
)
# %% [markdown]
# ## A clean baseline
#
# A method wraps a net, and is compiled and fitted like any Keras model.
# %%
net = nets.lenet(data.image_shape, data.classes, norm="bn")
baseline = methods.Baseline(net)
baseline.compile(keras.optimizers.SGD(0.05, momentum=0.9), metrics=["accuracy"])
history = baseline.fit(data.train, validation_data=data.validation, epochs=epochs, verbose=0)
print(f"validation accuracy: {100 * history.history['val_accuracy'][-1]:.2f}%")
# %% [markdown]
# How robust is it? `benchmark` measures any model under any conditions and returns a row per
# number. Here the conditions are the augmentations, and the 15 common corruptions at severity 3 of
# 5, which are never used for training.
# %%
conditions = [
    *evaluation.augmented(augmentations),
    *evaluation.corrupted(corruptions, severities=[3]),
]
rows = evaluation.benchmark(net, data, conditions, model_name="baseline", verbose=False)
# %% [markdown]
# ## Stability training
#
# The prediction must not change with the image: the loss is cross-entropy on the clean image, plus
# α times the divergence between the predictions on the clean and on the augmented one. `combined`
# alternates Combined+ and Combined−; `AlternateAugmentations` switches after each epoch. The
# monitor measures on validation images after every epoch.
# %%
model = methods.StabilityTraining(net, augment=augment.combined(individual), alpha=1.0)
schedule = keras.optimizers.schedules.CosineDecay(0.05, finetune_epochs * len(data.train))
model.compile(keras.optimizers.SGD(schedule, momentum=0.9), metrics=["accuracy"])
monitor = evaluation.RobustnessMonitor(
    data.validation, augmentations, model_name="ST", dataset="digits/validation"
)
turns = callbacks.AlternateAugmentations()
model.fit(data.train, epochs=finetune_epochs, callbacks=[turns, monitor], verbose=0)
reports.accuracy_over_epochs(monitor.rows, model="ST", title="While finetuning with ST")
# %% [markdown]
# ## What it gained, on the test images
#
# A star marks the better of the two. Part of the gain is due to longer training: clean images gain
# too. Frost is procedural unless the benchmark's photographs are installed.
# %%
rows += evaluation.benchmark(net, data, conditions, model_name="ST", verbose=False)
shown = [row for row in rows if row.corruption in ("clean", *augmentations)]
print(reports.robustness_table(shown).to_text())
# %%
print(reports.corruptions_table(rows).to_text())
# %% [markdown]
# ## A SavedModel that needs only TensorFlow
#
# It is verified against a few recorded images, then loaded as a server would load it.
# %%
serving.export(model, "savedmodels/quickstart", class_names=data.class_names)
verified = serving.verify("savedmodels/quickstart")
print(f"{verified.files} files are as exported; outputs differ by {verified.difference:.1e}")

served = tf.saved_model.load("savedmodels/quickstart").signatures["serving_default"]
answers = served(images=images)["class"]
print("true:  ", [data.class_names[label] for label in labels])
print("served:", [answer.decode() for answer in answers.numpy()])
