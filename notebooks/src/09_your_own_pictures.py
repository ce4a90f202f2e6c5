# %% [markdown]
# # Your own pictures and your own model
#
# **What you will have at the end:** a model that was trained elsewhere, measured on a folder of
# pictures; the same model hardened against four things that you name, with the gain and how sure it
# is; and files of it for a phone and for other runtimes.
#
# The folder `pictures` beside this notebook has 72 drawn houses, suns and trees (Apache-2.0, made
# by `tools/draw_pictures.py`). Put your own there, one folder for each class. With so few pictures
# the intervals are wide; some hundred a class tell more.
# %%
# %matplotlib inline
import pathlib
import shutil

import keras
import numpy as np

import tfrobust
from tfrobust import augment, datasets, evaluation, recipes, reports

folder = pathlib.Path(tfrobust.__file__).parents[1] / "notebooks/pictures"
out = pathlib.Path("runs/my_pictures")
# %% tags=["settings"]
epochs = 30  # quick: 20
hardening_epochs = 40  # quick: 1
conditions = ["fog", "contrast", "impulse_noise", "snow"]  # quick: ["fog"]

options = {"resize": 48, "crop": 48, "test_fraction": 0.4, "validation_fraction": 0.3}
data = datasets.load("folder", data_dir=folder, batch_size=16, **options)
print(data.class_names, data.sizes)
shutil.rmtree(out, ignore_errors=True)  # what an earlier run of the notebook has left
out.mkdir(parents=True)
# %% [markdown]
# ## A trained model
#
# It may come from anywhere: it takes pixels from 0 to 255 here, and ends in a softmax. The file is
# all that is used of it below.
# %%
keras.utils.set_random_seed(0)
layers = keras.layers
model = keras.Sequential(
    [
        keras.Input(data.image_shape),
        layers.Rescaling(255),  # for the training below, which has images from 0 to 1
        layers.Rescaling(1 / 127.5, offset=-1),
        layers.Conv2D(16, 5, strides=2, activation="relu"),
        layers.Conv2D(32, 3, strides=2, activation="relu"),
        layers.GlobalMaxPooling2D(),
        layers.Dense(3, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(data.train, epochs=epochs, verbose=0)
mine = keras.Sequential([keras.Input(data.image_shape), *model.layers[1:]])
mine.save(out / "mine.keras")
# %% [markdown]
# ## Measure it
#
# What it takes for pixels is found and printed. On the command line:
# `tfrobust evaluate mine.keras --dataset folder --data-dir pictures --out runs/before`.
# %%
asked = evaluation.corrupted(conditions, severities=[1, 3, 5], table=32)
measured = {"mine": out / "mine.keras"}
rows = recipes.evaluate(measured, data, asked, out / "before", verbose=False)
print(reports.answer_text(out / "before", "folder/test"))
# %% [markdown]
# ## Harden it against four named things
#
# Each picture gets one of them, of a strength that is drawn anew. On the command line:
# `tfrobust finetune mine.keras --method augmentation_training --augment gaussian_noise=0,0.2 ...`.
# %%
named = ["gaussian_noise=0,0.2", "salt_and_pepper=0,0.2", "contrast=0.1,1", "brightness=0,0.4"]
recipe = recipes.Finetune(
    model=str(out / "mine.keras"),
    method="augmentation_training",
    augment=tuple(named),
    dataset="folder",
    data_dir=folder,
    data_options=options,
    batch_size=16,
    epochs=hardening_epochs,
    optimizer="adam",
    learning_rate=0.003,
    clean_drop=0.05,
)
hardened = recipes.finetune(recipe, out / "hardened")
# %%
measured["hardened"] = hardened
rows = recipes.evaluate(measured, data, asked, out / "both", verbose=False)
print(reports.answer_text(out / "both", "folder/test"))
print(reports.corruptions_table(rows).to_text())
reports.accuracy_heat_map(rows, model="hardened")
# %%
images = next(iter(data.test))[0][:4]
made = [augment.naming.by_name(name)(images, training=True) for name in named]
shown = np.stack([images, *made], axis=1)
reports.augmentation_grid(shown, ["clean", *named], title="What it was hardened against")
# %% [markdown]
# ## Take it away
#
# A `.tflite` file for a phone, with a card beside it. It is measured like any other model.
# %%
exported = recipes.export_file(hardened, out / "mine.tflite", data=data)
rows = recipes.evaluate(
    {"hardened": hardened, "on a phone": exported.path},
    data,
    asked[:1],
    out / "phone",
    input_range="0_to_255",  # as the model that it was made of
    verbose=False,
)
print(reports.answer_text(out / "phone", "folder/test"))
print(sorted(path.name for path in out.iterdir()))
