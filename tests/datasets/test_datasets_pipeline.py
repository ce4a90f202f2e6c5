"""Batches of arrays, of files and of encoded images."""

from __future__ import annotations

import os
import pathlib
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.parameters import slow_unless
from tfrobust import files as locks
from tfrobust.datasets import pipeline, reading
from tfrobust.datasets.pipeline import PipelineOptions
from tfrobust.ops import image_decoding

COUNT = 10
IMAGES = np.arange(COUNT * 2 * 3 * 3, dtype="uint8").reshape(COUNT, 2, 3, 3)
LABELS = np.arange(COUNT)


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """Damaged images are in the tests on purpose, and the log would be full of them."""
    monkeypatch.setattr(
        tf.data.Dataset,
        "ignore_errors",
        lambda data, log_warning=False, plain=tf.data.Dataset.ignore_errors: plain(data),
    )


def epoch(data):
    images, labels = zip(*data.as_numpy_iterator())
    return np.concatenate(images), np.concatenate(labels)


def order(data):
    return epoch(data)[1].tolist()


def same(data, other):
    for mine, theirs in zip(epoch(data), epoch(other)):
        np.testing.assert_array_equal(mine, theirs)


# PipelineOptions


@pytest.mark.parametrize(
    "options, said",
    [
        ({"batch_size": 0}, "batch_size must be 1 or more; received 0"),
        ({"batch_size": True}, "batch_size must be 1 or more; received True"),
        ({"batch_size": 2.5}, "batch_size must be 1 or more; received 2.5"),
        ({"shuffle_seed": -1}, "shuffle_seed must be a whole number from 0 .* received -1"),
        ({"cache": 3}, "cache must be True, False, None or a path; received 3"),
        ({"deterministic": None}, "deterministic must be True or False; received None"),
        ({"on_error": "ignore"}, "on_error must be one of raise, skip; received 'ignore'"),
        ({"device": 0}, "device must be a name or None; received 0"),
    ],
)
def test_settings_refuse(options, said):
    with pytest.raises(ValueError, match=said):
        PipelineOptions(**options)


# Arrays


def from_arrays(images=IMAGES, labels=LABELS, classes=COUNT, **options):
    settings = PipelineOptions(**{"batch_size": 4, **options})
    return pipeline.from_arrays(images, labels, classes=classes, settings=settings)


def in_file(path, array):
    np.save(path, array)
    return np.load(path, mmap_mode="r")


@pytest.mark.parametrize("kind", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("mapped", [False, True])
def test_arrays(tmp_path, kind, mapped):
    values = IMAGES if kind == "uint8" else (IMAGES / 255).astype(kind)
    data = from_arrays(in_file(tmp_path / "x.npy", values) if mapped else values)
    assert data.element_spec[0] == tf.TensorSpec([None, 2, 3, 3], tf.float32)
    assert data.element_spec[1] == tf.TensorSpec([None], tf.int32)
    assert data.cardinality() == 3 and [len(y) for _, y in data] == [4, 4, 2]
    images, labels = epoch(data)
    np.testing.assert_array_equal(images, IMAGES.astype("float32") / 255)
    np.testing.assert_array_equal(labels, LABELS)


@pytest.mark.parametrize("mapped", [False, True])
def test_order_is_that_of_shuffled_slices(tmp_path, mapped):
    data = from_arrays(in_file(tmp_path / "x.npy", IMAGES) if mapped else IMAGES, shuffle_seed=5)
    plain = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))
    epochs = []
    for number in range(3):
        images, labels = epoch(data)
        tf.random.set_seed(1 + 5)  # TensorFlow combines it with the seed of the operation
        shuffled = plain.shuffle(COUNT, seed=number, reshuffle_each_iteration=False)
        expected = list(shuffled.as_numpy_iterator())
        tf.random.set_seed(number)  # what a program sets does not matter
        np.testing.assert_array_equal(labels, [label for _, label in expected])
        np.testing.assert_array_equal(images, np.stack([x for x, _ in expected]) / np.float32(255))
        epochs.append(labels.tolist())
    assert len({*map(tuple, epochs)}) == 3


def test_labels():
    shares = np.eye(COUNT)[::-1]
    _, labels = epoch(from_arrays(labels=shares))
    assert labels.dtype == np.float32
    np.testing.assert_array_equal(labels, shares)
    assert from_arrays(labels=LABELS[:, None]).element_spec[1] == tf.TensorSpec([None, 1], tf.int32)
    with pytest.raises(ValueError, match="a label for each image; received 10 images and 9 labels"):
        from_arrays(labels=LABELS[:9])


def test_arrays_are_copied():
    images = IMAGES.copy()
    data = from_arrays(images)
    images[:] = 0
    same(data, from_arrays())


def test_place_in_file(tmp_path):
    mapped = in_file(tmp_path / "x.npy", IMAGES)
    place = pipeline._place_in_file
    path, first = place(mapped)
    assert path == str(tmp_path / "x.npy")
    contents = (tmp_path / "x.npy").read_bytes()
    assert contents[first:] == IMAGES.tobytes()
    assert place(mapped[3:7]) == place(np.asarray(mapped)[3:7]) == (path, first + 3 * 18)
    same(from_arrays(mapped[3:7], LABELS[3:7]), from_arrays(IMAGES[3:7], LABELS[3:7]))
    # Not one after the other in the file, or not what is in the file.
    changed = np.load(tmp_path / "x.npy", mmap_mode="c")
    changed[0] = 7
    for other in (IMAGES, mapped[::2], mapped[[1, 0]], mapped[:, ::-1], mapped + 1, changed):
        assert place(other) is None
        labels = LABELS[: len(other)]
        same(from_arrays(other, labels), from_arrays(np.array(other), labels))


def test_mapped_arrays_are_shuffled_in_a_buffer(tmp_path, monkeypatch):
    images = in_file(tmp_path / "x.npy", np.zeros([100, 1, 1, 1], "uint8"))
    monkeypatch.setattr(pipeline, "SHUFFLE_BYTES", 5 * (1 + pipeline._ELEMENT_BYTES))
    labels = order(from_arrays(images, np.arange(100), 100, shuffle_seed=0))
    assert sorted(labels) == list(range(100)) != labels
    assert min(place - label for place, label in enumerate(labels)) == -4  # at most four too early
    labels = order(from_arrays(images, np.arange(100), 100, shuffle_seed=0, cache=True))
    assert min(place - label for place, label in enumerate(labels)) < -10


# Files


def encode(level):
    return tf.io.encode_png(np.full([4, 6, 3], level, "uint8")).numpy()


@pytest.fixture
def files(tmp_path):
    """Ten images in files of their own; the label is the level."""
    paths = [tmp_path / f"{level}.png" for level in LABELS]
    for level, path in enumerate(paths):
        path.write_bytes(encode(level))
    return paths


def read(contents):
    return image_decoding.exact_size(4, 6)(image_decoding.decode(contents))


def from_files(paths, labels=LABELS, read=read, **options):
    settings = PipelineOptions(**{"batch_size": 4, **options})
    return pipeline.from_files(paths, labels, read, settings=settings)


def from_contents(contents, **options):
    """As from files of records: the labels count."""
    elements = tf.data.Dataset.from_tensor_slices(
        (contents, np.arange(len(contents), dtype="int64"))
    )
    settings = PipelineOptions(**{"batch_size": 4, **options})
    return pipeline.from_elements(elements, len(contents), read, settings=settings)


def own(data):
    """The labels of an epoch, after a look whether each image is that of its label."""
    images, labels = epoch(data)
    np.testing.assert_array_equal(np.round(images * 255), labels[:, None, None, None] + 0 * images)
    assert images.dtype == np.float32 and labels.dtype == np.int32
    return labels.tolist()


@pytest.mark.parametrize(
    "cache, on_error, batch_size",
    slow_unless(
        [(False, "raise", 11), (False, "skip", 4), (True, "raise", 4)],
        [
            (False, "raise", 1),
            (False, "raise", 5),
            (False, "raise", 11),
            (False, "skip", 4),
            (False, "skip", 10),
            (True, "raise", 4),
            (True, "skip", 5),
        ],
        several=True,
    ),
)
def test_files(files, cache, on_error, batch_size):
    data = from_files(files, cache=cache, on_error=on_error, batch_size=batch_size)
    assert data.element_spec[0] == tf.TensorSpec([None, 4, 6, 3], tf.float32)
    batches = -(-COUNT // batch_size)
    assert data.cardinality() == (batches if on_error == "raise" else tf.data.UNKNOWN_CARDINALITY)
    for _ in range(2):
        assert len(list(data)) == batches
        assert own(data) == list(range(COUNT))


@pytest.mark.parametrize(
    "kind, options",
    slow_unless(
        [("files", {"cache": True}), ("contents", {"cache": False})],
        [
            ("files", {"cache": False}),
            ("files", {"cache": True}),
            ("contents", {"cache": False}),
            ("contents", {"deterministic": False}),
        ],
        several=True,
    ),
)
def test_shuffled_files(files, kind, options):
    def make(seed):
        if kind == "files":
            return from_files(files, shuffle_seed=seed, **options)
        return from_contents([file.read_bytes() for file in files], shuffle_seed=seed, **options)

    data, twin, other = make(1), make(1), make(2)
    epochs = [own(data) for _ in range(3)]
    if options.get("deterministic", True):
        assert epochs == [own(twin) for _ in range(3)]
    assert len({tuple(labels) for labels in (*epochs, own(other))}) == 4
    assert all(sorted(labels) == list(range(COUNT)) for labels in epochs)


def test_contents_are_shuffled_in_a_buffer(monkeypatch):
    contents = [encode(level) for level in range(100)]
    size = np.mean([len(c) for c in contents[: pipeline._LOOKED_AT]])
    monkeypatch.setattr(pipeline, "SHUFFLE_BYTES", 5 * (size + pipeline._ELEMENT_BYTES))
    labels = own(from_contents(contents, shuffle_seed=0, cache=False))
    assert sorted(labels) == list(range(100)) != labels
    assert min(place - label for place, label in enumerate(labels)) == -4


def test_labels_of_any_whole_kind(files):
    assert from_files(files, LABELS.astype("uint8")).element_spec[1].dtype == tf.int32
    with pytest.raises(ValueError, match="a label for each; received 10 paths and 9 labels"):
        from_files(files, LABELS[:9])
    with pytest.raises(ValueError, match=r"at least one image, .* received 0 paths and 0 labels"):
        from_files([], [])


@pytest.mark.parametrize(
    "other, said",
    [
        (image_decoding.decode, r"known shape; it makes uint8 of shape \(None, None, 3\)"),
        (lambda contents: image_decoding.to_float(read(contents)), "it makes float32 of shape"),
    ],
)
def test_read_must_be_known(files, other, said):
    with pytest.raises(ValueError, match=said):
        from_files(files, read=other)


# Cache


def remove(files):
    for file in files:
        os.remove(file)


@pytest.mark.parametrize("seed", [None, 0])
def test_cache_reads_once(files, seed):
    kept, again = (from_files(files, cache=cache, shuffle_seed=seed) for cache in (True, False))
    for data in (kept, again):
        own(data)
    remove(files)
    assert sorted(own(kept)) == list(range(COUNT))
    with pytest.raises(tf.errors.InvalidArgumentError, match="No such file"):
        own(again)


@pytest.mark.parametrize("free, fits", [(0, False), (4 * 720 - 1, False), (4 * 720, True)])
def test_cache_where_it_fits(files, monkeypatch, free, fits):
    monkeypatch.setattr(pipeline, "_free_memory", lambda: free)
    data = from_files(files)  # of 10 x 4 x 6 x 3 bytes
    own(data)
    remove(files)
    if fits:
        own(data)
    else:
        with pytest.raises(tf.errors.InvalidArgumentError):
            own(data)


def test_cache_in_a_file(files, tmp_path):
    cache = tmp_path / "new" / "kept"
    first, second = (
        from_files(files[part], LABELS[part], cache=cache) for part in (slice(0, 6), slice(6, 10))
    )
    assert own(first) == [0, 1, 2, 3, 4, 5] and own(second) == [6, 7, 8, 9]
    assert all(path.name.startswith("kept.") for path in cache.parent.iterdir())
    remove(files)
    data = from_files(files[:6], LABELS[:6], cache=str(cache), shuffle_seed=3)
    assert sorted(own(data)) == [0, 1, 2, 3, 4, 5]  # another program would find it too
    with pytest.raises(tf.errors.InvalidArgumentError):  # not the images of others
        own(from_files(files[:6], LABELS[:6] + 1, cache=str(cache)))


def test_cache_file_of_another_process(files, tmp_path):
    cache = tmp_path / "kept"
    from_files(files, cache=cache)
    (folder,) = tmp_path.glob("kept.*")
    (folder / "images_0.lockfile").touch()  # as a killed process leaves it
    with pytest.raises(tf.errors.AlreadyExistsError):
        own(from_files(files, cache=cache))
    locks._held.close()
    assert own(from_files(files, cache=cache)) == list(range(10))
    assert {path.suffix for path in folder.iterdir()} == {".index", ".data-00000-of-00001"}
    locks._held.close()
    with locks._flock(folder):  # another process is at work
        assert own(from_files(files, cache=cache)) == list(range(10))  # it only reads
        (folder / "images.index").unlink()
        with pytest.raises(BlockingIOError, match=r"work in .*kept.*give another path for cache"):
            from_files(files, cache=cache)


def test_cache_file_of_contents(tmp_path):
    parts = [[encode(level) for level in levels] for levels in ((0, 1, 2), (0, 3, 2))]
    for contents in parts:
        data = from_contents(contents, cache=str(tmp_path / "kept"))
        images, _ = epoch(data)
        expected = [int(tf.io.decode_png(c)[0, 0, 0]) for c in contents]
        np.testing.assert_array_equal(np.round(images[:, 0, 0, 0] * 255), expected)


def test_free_memory(monkeypatch, tmp_path):
    free = pipeline._free_memory()
    assert 2**20 < free < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    (tmp_path / "limit").write_text("5000\n")
    (tmp_path / "used").write_text("1000\n")
    limit, used, none = (str(tmp_path / name) for name in ("limit", "used", "none"))
    monkeypatch.setattr(pipeline, "_CONTAINER_MEMORY", [(none, none), (limit, used)])
    assert pipeline._free_memory() == 4000
    (tmp_path / "limit").write_text("max\n")
    assert pipeline._free_memory() > 2**20
    (tmp_path / "limit").write_text("10\n")
    assert pipeline._free_memory() == 0


# Damaged images


def damage(path):
    path.write_bytes(path.read_bytes()[:30])


@pytest.mark.parametrize("batch_size", slow_unless([4], [1, 4, 5, 11]))
@pytest.mark.parametrize(
    "place, seed, cache",
    [(0, None, False), (9, None, True), (5, 0, False), (9, 0, False), (0, 0, True)],
)
def test_damaged_stops(files, place, seed, cache, batch_size):
    damage(files[place])
    data = from_files(files, shuffle_seed=seed, cache=cache, batch_size=batch_size)
    iterator = iter(data)
    said = rf"{place}.png must be an image that can be read; reading it failed: .*PNG.*'skip\\?' it"
    with pytest.raises(tf.errors.InvalidArgumentError, match=said) as caught:
        while True:
            next(iterator)
    assert "\n" not in caught.value.message.split("[[")[0].strip()


def test_stops_at_the_image(files):
    damage(files[5])
    iterator = iter(from_files(files, cache=False, batch_size=2))
    assert [next(iterator)[1].numpy().tolist() for _ in range(2)] == [[0, 1], [2, 3]]
    for _ in range(2):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"5.png must"):
            next(iterator)


def test_stops_where_no_batch_is_whole(files):
    for place in (2, 4, 7, 8):
        damage(files[place])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"[2478].png must"):
        list(from_files(files, cache=False, batch_size=3))


def test_asks_python_once(files, monkeypatch):
    """Batches are made ahead: a step in Python then can keep a program from ending."""
    for place in (3, 6):
        damage(files[place])
    asked = []
    monkeypatch.setattr(reading, "_what_failed", lambda *of: asked.append(of) or "so it is")
    iterator = iter(from_files(files, cache=False, batch_size=1))
    failed = 0
    for _ in range(COUNT - 2):
        try:
            next(iterator)
        except tf.errors.InvalidArgumentError as error:
            assert "so it is" in error.message
            failed += 1
    assert len(asked) == 1 and failed > 1


def test_other_size_and_missing_file(files):
    files[1].write_bytes(tf.io.encode_png(np.zeros([6, 4, 3], "uint8")).numpy())
    said = "1.png must .* failed: all images must have 4x6 pixels; received 6x4"
    with pytest.raises(tf.errors.InvalidArgumentError, match=said):
        list(from_files(files))
    os.remove(files[1])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"1.png must .* No such file"):
        list(from_files(files))


def skipped(data):
    """The labels of an epoch, and what is warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        batches = list(data.as_numpy_iterator())
    said = [str(w.message) for w in caught if w.category is RuntimeWarning]
    return [label for _, labels in batches for label in labels.tolist()], said


@pytest.mark.parametrize(
    "places",
    slow_unless(
        [[9], [1, 5, 8, 9], list(range(10))],
        [[0], [9], [3, 4], [0, 1, 2, 3, 4], [1, 5, 8, 9], list(range(10))],
    ),
)
def test_damaged_is_left_out(files, places):
    for place in places:
        damage(files[place])
    data = from_files(files, on_error="skip", cache=False)
    for _ in range(2):
        labels, said = skipped(data)
        assert labels == [label for label in range(COUNT) if label not in places]
        (text,) = said
        assert text.startswith(f"{len(places)} of 10 images are left out, because they cannot")
        named = [place for place in range(COUNT) if f"/{place}.png must be an image" in text]
        assert len(named) == 1 and named[0] in places


def test_left_out_of_full_batches(files):
    damage(files[2])
    data = from_files(files, on_error="skip", cache=False, batch_size=3)
    with pytest.warns(RuntimeWarning, match="1 of 10 images"):
        assert [len(labels) for _, labels in data] == [3, 3, 3]


def test_left_out_of_cache_and_shuffling(files, tmp_path):
    damage(files[2])
    for cache in (True, str(tmp_path / "kept")):
        data = from_files(files, on_error="skip", cache=cache, shuffle_seed=0)
        labels, said = skipped(data)
        assert sorted(labels) == [0, 1, 3, 4, 5, 6, 7, 8, 9] and len(said) == 1
        labels, said = skipped(data)
        assert sorted(labels) == [0, 1, 3, 4, 5, 6, 7, 8, 9] and said == []
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"2.png must"):
        list(from_files(files, cache=str(tmp_path / "kept")))


def test_damaged_contents():
    contents = [encode(level) for level in range(6)]
    contents[3] = contents[3][:40]
    said = r"image 3 \(40 bytes\) must be an image that can be read; reading it failed: .*PNG"
    with pytest.raises(tf.errors.InvalidArgumentError, match=said):
        list(from_contents(contents))
    labels, (text,) = skipped(from_contents(contents, on_error="skip", cache=False))
    assert labels == [0, 1, 2, 4, 5] and "1 of 6 images" in text and "image 3 (40 bytes)" in text


def broken_after(count):
    """Forty images, of which some can be read."""
    elements = tf.data.Dataset.from_tensor_slices(([encode(x) for x in range(40)], range(40)))

    def fail(contents, label):
        with tf.control_dependencies([tf.debugging.Assert(label < count, ["broken file"])]):
            return tf.identity(contents), label

    return elements.map(fail)


@pytest.mark.parametrize(
    "on_error, count", [("raise", 0), ("raise", 2), ("raise", 34), ("skip", 0), ("skip", 18)]
)
@pytest.mark.filterwarnings("ignore:.* images are left out")
def test_broken_elements(on_error, count):
    """What images are read from is broken: that stops in any case."""
    settings = PipelineOptions(batch_size=2, cache=False, on_error=on_error)
    said = r"reading failed (after image \d+|at the first images|\(see)|.*or ended, after"
    with pytest.raises(tf.errors.InvalidArgumentError, match=said):
        list(pipeline.from_elements(broken_after(count), 40, read, settings=settings))


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_too_few_elements(on_error):
    settings = PipelineOptions(batch_size=2, cache=False, on_error=on_error)
    elements = tf.data.Dataset.from_tensor_slices(([encode(x) for x in range(5)], range(5)))
    said = r"there must be 6 images; reading failed \(see the log for why\), or ended, after 5"
    with pytest.raises(tf.errors.InvalidArgumentError, match=said):
        list(pipeline.from_elements(elements, 6, read, settings=settings))


# In use


def test_in_fit(files):
    damage(files[6])
    data = from_files(files, on_error="skip", cache=False, shuffle_seed=0)
    net = keras.Sequential(
        [keras.Input([4, 6, 3]), keras.layers.Flatten(), keras.layers.Dense(COUNT)]
    )
    net.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.warns(RuntimeWarning, match=r"6.png must be an image"):
        history = net.fit(data, epochs=2, verbose=0)
    assert np.all(np.isfinite(history.history["loss"]))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"6.png must be an image"):
        net.fit(from_files(files), verbose=0)


@pytest.mark.parametrize("kind", ["arrays", "files"])
def test_on_two_devices(files, kind):
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice()
    )
    make = from_arrays if kind == "arrays" else lambda **options: from_files(files, **options)
    data = make(shuffle_seed=0)
    assert strategy.num_replicas_in_sync == 2
    epochs = []
    for _ in range(2):
        batches = [
            np.concatenate([part.numpy() for part in strategy.experimental_local_results(labels)])
            for _, labels in strategy.experimental_distribute_dataset(data)
        ]
        assert [len(labels) for labels in batches] == [4, 4, 2]
        epochs.append(np.concatenate(batches).tolist())
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(COUNT))


def test_onto_a_device(files):
    for make in (from_arrays, lambda **options: from_files(files, **options)):
        data = make(device="/CPU:1", shuffle_seed=0)
        same(data, make(shuffle_seed=0))
        images, _ = next(iter(data))
        assert images.device.endswith("CPU:1")


def test_options(files):
    for deterministic in (True, False):
        for make in (from_arrays, lambda **options: from_files(files, **options)):
            options = make(deterministic=deterministic).options()
            assert options.deterministic is deterministic
            policy = options.experimental_distribute.auto_shard_policy
            assert policy == tf.data.experimental.AutoShardPolicy.DATA


def test_frames(files):
    def frame(path):
        return image_decoding.to_float(read(tf.io.read_file(path)))

    data = pipeline.from_frames([str(file) for file in files], np.array([7, 8]), frame, 5)
    frames, labels = zip(*data.as_numpy_iterator())
    assert [part.shape for part in frames] == [(5, 4, 6, 3)] * 2 and list(labels) == [7, 8]
    levels = np.round(np.concatenate(frames)[:, 0, 0, 0] * 255)
    np.testing.assert_array_equal(levels, range(COUNT))


def test_paths_of_any_kind(files):
    assert own(from_files([pathlib.Path(file) for file in files])) == list(range(COUNT))
