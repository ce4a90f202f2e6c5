"""Packaging of tfrobust; the settings of the tools are in pyproject.toml."""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent

# Read as text: importing the package would need its requirements.
VERSION = re.search(
    r'^__version__ = "([^"]+)"$',
    (ROOT / "tfrobust" / "version.py").read_text(encoding="utf-8"),
    flags=re.MULTILINE,
).group(1)

README = ROOT / "README.md"

# tensorflow-addons ended with TensorFlow 2.15, which has no build for Python 3.12. So the
# Python version decides which of two stacks is installed.
KERAS_2 = 'python_version < "3.12"'
KERAS_3 = 'python_version >= "3.12"'

# What serving.export_onnx needs.
ONNX = [
    "tf2onnx>=1.16",
    "onnx",
    f"onnx<1.18; {KERAS_2}",  # newer ones want newer protobuf or ml-dtypes than TensorFlow 2.15
    "onnxruntime",
]

setup(
    name="tfrobust",
    version=VERSION,
    description="Robust image classifiers in Keras and TensorFlow",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=find_packages(include=["tfrobust", "tfrobust.*"]),
    package_data={
        "tfrobust.experiments": ["printed/*.csv"],
        "tfrobust.reports": ["*.jinja"],
        "tfrobust.serving": ["*.jinja"],
    },
    python_requires=">=3.9,<3.14",
    install_requires=[
        f"tensorflow>=2.15,<2.16; {KERAS_2}",
        f"keras>=2.15,<2.16; {KERAS_2}",
        f"tensorflow-addons>=0.23,<0.24; {KERAS_2}",
        # Below 2.20 tensorflow-datasets cannot be imported beside the newest tensorflow-metadata.
        f"tensorflow>=2.20,<2.22; {KERAS_3}",
        f"keras>=3.6,<4; {KERAS_3}",
        "h5py",
        "Jinja2>=3.1",
        "keras-tuner>=1.4.8,<1.5",  # compat/keras_tuner.py reaches into this version
        "matplotlib",
        "numpy",
        "pooch>=1.6",
        "psutil>=5.8",
        "requests>=2.25",
        "scikit-learn",
        "tensorflow-datasets",
        "tqdm",
        # Needs that other packages do not declare: KerasTuner imports tensorboard, which
        # TensorFlow 2.21 no longer brings; tensorflow-datasets imports importlib_resources.
        "tensorboard",
        "importlib_resources",
        # Limits of the first stack that its packages do not all declare: TensorFlow 2.15 is built
        # for NumPy 1, which newer pyarrow refuses on import; newer tensorflow-metadata holds code
        # generated for a newer protobuf than TensorFlow 2.15 allows; TensorBoard 2.15 imports
        # pkg_resources, which setuptools 82 dropped.
        f"numpy<2; {KERAS_2}",
        f"pyarrow<18; {KERAS_2}",
        f"tensorflow-metadata<1.17; {KERAS_2}",
        f"setuptools<82; {KERAS_2}",
    ],
    extras_require={
        "test": [
            "jupytext>=1.16",  # tools/notebooks.py
            "opencv-python-headless",
            f"opencv-python-headless<4.12; {KERAS_2}",  # newer ones are built for NumPy 2
            "pillow",
            "pytest",
            "pytest-timeout",
            "scikit-image",
            "scipy",
            "tf-slim",
            *ONNX,
        ],
        "onnx": ONNX,
        "dev": ["ipykernel>=6.29", "mypy", "nbclient>=0.10", "ruff"],
        # On Python 3.9 these lower bounds of MyST-Parser and Sphinx are the last minor ones.
        "docs": ["furo>=2024.8.6", "myst-parser>=3", "sphinx>=7.4"],
    },
    entry_points={"console_scripts": ["tfrobust=tfrobust.cli:main"]},
    classifiers=[
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.9",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
