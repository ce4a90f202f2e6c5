"""Small data sets on disk, in the formats of TensorFlow Datasets and of the published archives."""

import io

import numpy as np
import PIL.Image
import tensorflow_datasets as tfds
from tensorflow_datasets.core import registered


def encoded(image, kind="JPEG"):
    """The bytes of an image file."""
    stream = io.BytesIO()
    PIL.Image.fromarray(np.squeeze(image)).save(stream, kind)
    return stream.getvalue()


def write_picture(path, image):
    """Writes a picture as its ending says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(image, "PNG" if path.suffix == ".png" else "JPEG"))
    return path


def flat(value, size=(8, 8)):
    """A picture of one colour, which JPEG keeps."""
    return np.full([*size, 3], value, "uint8")


def write_prepared(folder, name, splits, names, *, version, kind="png"):
    """Writes a data set as TensorFlow Datasets prepares it.

    `splits` is the name of a split to images uint8 (or bytes) and labels.
    """
    shapes = {np.shape(images)[1:] for images, _ in splits.values()}
    shape = shapes.pop() if len(shapes) == 1 and kind == "png" else (None, None, 3)
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=shape or (None, None, 3), encoding_format=kind),
            "label": tfds.features.ClassLabel(names=names),
        }
    )

    def examples(split):
        for i, (image, label) in enumerate(zip(*splits[split])):
            content = io.BytesIO(image) if isinstance(image, bytes) else image
            yield i, {"image": content, "label": int(label)}

    def info(self):
        return self.dataset_info_from_configs(features=features, supervised_keys=("image", "label"))

    content = {
        "__module__": __name__,
        "name": name,
        "VERSION": tfds.core.Version(version),
        "_info": info,
        "_split_generators": lambda self, manager: {split: examples(split) for split in splits},
        "_generate_examples": None,
    }
    with registered.skip_registration():
        made = type("Builder", (tfds.core.GeneratorBasedBuilder,), content)
        builder = made(data_dir=folder)
    builder.download_and_prepare()
    return folder
