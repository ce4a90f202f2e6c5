"""Encoded images, good and bad, through a SavedModel."""

import io
import json
import os
import subprocess
import sys
import threading
import time

import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from tests.parameters import slow_unless
from tfrobust import nets, serving
from tfrobust.layers import route
from tfrobust.ops import image_decoding
from tfrobust.serving import batch_decoder as served_decoding
from tfrobust.serving.server import NOT_FINITE, Server

NAMES = ["cat", "dog", "fox", "owl"]


def encoded(image, kind="PNG", **options):
    stream = io.BytesIO()
    if not isinstance(image, PIL.Image.Image):
        image = PIL.Image.fromarray(image)
    image.save(stream, kind, **options)
    return stream.getvalue()


def photo(height, width, channels=3):
    """Smooth, as JPEG likes it, with an edge."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    planes = [100 + 80 * np.sin(3 * x + c) + 60 * (y > 0.4) for c in range(channels)]
    return np.clip(np.stack(planes, -1), 0, 255).astype("uint8")


def decode(contents, *size):
    images, wrong = served_decoding.batch_decoder(*size)(tf.constant([contents]))
    assert wrong.numpy().tolist() == [b""]
    return images[0].numpy()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A SavedModel of a net that is told apart by its weights."""
    keras.utils.set_random_seed(1)
    net = keras.Sequential(
        [
            keras.Input([16, 12, 3]),
            keras.layers.Conv2D(4, 3, strides=2, activation="relu"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(4, kernel_initializer="random_normal"),
        ]
    )
    path = tmp_path_factory.mktemp("served") / "net"
    serving.export(net, path, class_names=NAMES)
    return path


@pytest.fixture(scope="module")
def served(folder):
    return tf.saved_model.load(str(folder))


def test_png_gives_what_its_pixels_give(served):
    images = np.random.default_rng(0).integers(0, 256, [5, 16, 12, 3], "uint8")
    from_bytes = served.signatures["serving_bytes"](images=tf.constant([*map(encoded, images)]))
    from_pixels = served.signatures["uint8"](images=tf.constant(images))
    assert set(from_bytes) == {*from_pixels, "ok", "error"}
    for name, value in from_pixels.items():
        if value.dtype == tf.string:
            assert from_bytes[name].numpy().tolist() == value.numpy().tolist()
        else:  # two graphs, in which the net's sums may run in another order
            np.testing.assert_allclose(from_bytes[name], value, rtol=1e-5, atol=1e-6)
    assert from_bytes["ok"].numpy().all() and set(from_bytes["error"].numpy()) == {b""}
    best = np.argmax(from_pixels["logits"], axis=1)
    assert from_pixels["class"].numpy().tolist() == [NAMES[i].encode() for i in best]


@pytest.mark.parametrize(
    "size", slow_unless([(45, 70), (1, 1)], [(16, 12), (45, 70), (7, 5), (1, 1), (1, 90)])
)
def test_the_pixels_of_the_data_pipeline(size):
    for kind in ("PNG", "JPEG"):
        contents = encoded(photo(*size), kind)
        wanted = image_decoding.decode_resize_to(16, 12)(tf.constant(contents))
        np.testing.assert_array_equal(decode(contents, 16, 12, 3), wanted)
        wanted = image_decoding.decode_resize_and_crop(18, 16)(tf.constant(contents))
        np.testing.assert_array_equal(decode(contents, 16, 16, 3, 18), wanted)


def test_jpeg_like_pillow():
    contents = encoded(photo(16, 12), "JPEG", quality=90)
    wanted = np.asarray(PIL.Image.open(io.BytesIO(contents)).convert("RGB")).astype(int)
    assert np.abs(decode(contents, 16, 12, 3) - wanted).max() <= 1


def kinds():
    colours = PIL.Image.fromarray(photo(16, 12))
    clear = photo(16, 12, 4)
    sixteen = (photo(16, 12, 1)[..., 0].astype("uint16") << 8) | 0xAB
    return {
        "grey": colours.convert("L"),
        "palette": colours.quantize(16),
        "alpha": PIL.Image.fromarray(clear, "RGBA"),
        "grey with alpha": PIL.Image.fromarray(clear[..., :2].copy(), "LA"),
        "two colours": colours.convert("1"),
        "16 bits": PIL.Image.fromarray(sixteen),
    }


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
@pytest.mark.parametrize("kind", ["grey", "palette", "alpha", "grey with alpha", "two colours"])
def test_kinds_of_png_like_pillow(kind):
    image = kinds()[kind]
    contents = encoded(image)
    np.testing.assert_array_equal(decode(contents, 16, 12, 3), image.convert("RGB"))
    np.testing.assert_array_equal(
        decode(contents, 16, 12, 1)[..., 0], image.convert("RGB").convert("L")
    )


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
def test_of_16_bits_the_upper_8_are_kept():
    image = kinds()["16 bits"]
    for channels in (1, 3):
        got = decode(encoded(image), 16, 12, channels)
        assert (got == (np.asarray(image) >> 8)[..., None]).all()


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_kinds_of_jpeg_like_pillow(mode):
    contents = encoded(PIL.Image.fromarray(photo(16, 12)).convert(mode), "JPEG", quality=95)
    wanted = PIL.Image.open(io.BytesIO(contents)).convert("RGB")
    # The conversion of inks rounds otherwise.
    assert np.abs(decode(contents, 16, 12, 3) - np.asarray(wanted).astype(int)).max() <= 3
    grey = np.asarray(wanted.convert("L")).astype(int)
    assert np.abs(decode(contents, 16, 12, 1)[..., 0] - grey).max() <= 3


def bad_images():
    png, jpeg = encoded(photo(40, 30)), encoded(photo(40, 30), "JPEG")
    frames = [PIL.Image.fromarray(photo(8, 8, 1)[..., 0] + i) for i in (0, 9)]
    gif = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    huge = bytearray(png)
    huge[16:24] = (65535).to_bytes(4, "big") * 2
    long = bytearray(png)
    long[16:24] = (2**31 - 1).to_bytes(4, "big") * 2
    return [
        (b"", served_decoding.EMPTY),
        (b"x", served_decoding.UNKNOWN),
        (b"no image, but text \xff\x00", served_decoding.UNKNOWN),
        (encoded(photo(8, 8), "BMP"), served_decoding.UNKNOWN),
        (gif, served_decoding.GIF),
        (png[: len(png) // 2], served_decoding.DAMAGED),
        (png[:8], served_decoding.DAMAGED),
        (jpeg[: len(jpeg) // 2], served_decoding.DAMAGED),
        (jpeg[:3], served_decoding.DAMAGED),
        (bytes(huge), served_decoding.LARGE),
        (bytes(long), served_decoding.LARGE),
    ]


def test_bad_images_do_not_stop_the_others(served):
    serve = served.signatures["serving_bytes"]
    good = encoded(photo(30, 40))
    contents, sentences = zip(*bad_images())
    batch = [part for one in contents for part in (one, good)]
    outputs = {name: value.numpy() for name, value in serve(images=tf.constant(batch)).items()}
    alone = {name: value.numpy() for name, value in serve(images=tf.constant([good])).items()}
    assert outputs["ok"].tolist() == [False, True] * len(contents)
    assert [text.decode() for text in outputs["error"][::2]] == list(sentences)
    assert set(outputs["error"][1::2]) == {b""} and set(outputs["class"][::2]) == {b""}
    for name in ("logits", "probabilities"):
        assert np.isnan(outputs[name][::2]).all()
        np.testing.assert_allclose(
            outputs[name][1::2], np.repeat(alone[name], len(contents), 0), rtol=1e-5
        )
    for one, sentence in bad_images():
        outputs = serve(images=tf.constant([one]))
        assert outputs["error"].numpy().tolist() == [sentence.encode()]


def test_any_batch(served):
    for count in (0, 1, 9):
        images = tf.constant([encoded(photo(20, 20 + i)) for i in range(count)], tf.string)
        outputs = served.signatures["serving_bytes"](images=images)
        assert outputs["logits"].shape == [count, 4] and outputs["ok"].shape == [count]
        assert set(outputs) == {"logits", "probabilities", "class", "ok", "error"}
        for name, kind in PIXELS.items():
            outputs = served.signatures[name](images=tf.zeros([count, 16, 12, 3], kind))
            assert {value.shape[0] for value in outputs.values()} == {count}


def test_large_images_are_read_one_at_a_time(monkeypatch):
    """In all requests at once; one that fails lets the next one in."""
    lock, now, most, seen = threading.Lock(), [0], [0], []

    def slowly(contents):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
            seen.append(contents)
        time.sleep(0.02)
        with lock:
            now[0] -= 1
        if contents.endswith(b"bad"):
            raise ValueError("damaged")
        return np.ones([2, 2, 3], "uint8")

    def reader(*_):
        return lambda one: tf.ensure_shape(tf.numpy_function(slowly, [one], tf.uint8), [2, 2, 3])

    monkeypatch.setattr(served_decoding, "_reader", reader)
    monkeypatch.setattr(served_decoding, "_PIXELS_IN_PARALLEL", 11)
    serve = tf.function(served_decoding.batch_decoder(2, 2, 3))
    for size, together in ((3, True), (4, False)):
        good = encoded(photo(size, 3))
        batch, most[0] = tf.constant([good, good + b"bad", good]), 0
        serve(batch)
        requests = [threading.Thread(target=serve, args=[batch]) for _ in range(3)]
        for each in requests:
            each.start()
        for each in requests:
            each.join()
        assert (most[0] > 1) == together
    images, wrong = serve(batch)
    assert [text == b"" for text in wrong.numpy()] == [True, False, True]
    assert images.numpy().max(axis=(1, 2, 3)).tolist() == [1, 0, 1] and len(seen) == 27


PIXELS = {"serving_default": tf.float32, "uint8": tf.uint8, "features": tf.float32}
SHAPES = [
    [],
    [16, 12],
    [16, 12, 3],
    [1, 1, 16, 12, 3],
    [1, 8, 8, 3],
    [1, 12, 16, 3],
    [0, 16, 12, 1],
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_another_shape_is_an_error(served, shape):
    """Unchecked, a wrong number of axes ends the process, and another size is answered."""
    for name, kind in PIXELS.items():
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"expected shape \[\?,16,12,3\]"):
            served.signatures[name](images=tf.zeros(shape, kind))
    for contents in ("x", [["x"]]):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"expected shape \[\?\]"):
            served.signatures["serving_bytes"](images=tf.constant(contents))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_images_that_are_not_finite_get_no_answer(served, bad):
    """Pooling and ReLU can swallow a NaN."""
    images = np.full([3, 16, 12, 3], 0.5, "float32")
    images[1, 15, 11, 2] = bad  # outside of what the net sees
    outputs = served.signatures["serving_default"](images=tf.constant(images))
    features = served.signatures["features"](images=tf.constant(images))["features"]
    for values in (outputs["logits"], outputs["probabilities"], features):
        assert np.isnan(values).all(axis=1).tolist() == [False, True, False]
        assert np.isfinite(values[::2]).all()
    classes = outputs["class"].numpy().tolist()
    assert classes[1] == b"" and classes[0] in [name.encode() for name in NAMES]


def test_answers_that_are_not_finite_are_not_ok(make_net):
    net = make_net()
    kernel, bias = net.layers[-1].get_weights()
    net.layers[-1].set_weights([np.full_like(kernel, 3e38), bias])
    server = Server(net, NAMES, (16, 16), None)
    outputs = server.functions["serving_bytes"](tf.constant([encoded(photo(16, 16))]))
    assert outputs["ok"].numpy().tolist() == [False] and outputs["class"].numpy().tolist() == [b""]
    assert outputs["error"].numpy().tolist() == [NOT_FINITE.encode()]


def test_features_are_what_the_last_dense_takes(served):
    images = tf.random.stateless_uniform([3, 16, 12, 3], [0, 1])
    features = served.signatures["features"](images=images)["features"]
    kernel, bias = [w for w in served.weights if w.shape in ([features.shape[1], 4], [4])][-2:]
    logits = served.signatures["serving_default"](images=images)["logits"]
    np.testing.assert_allclose(features @ kernel + bias, logits, atol=1e-5)


@pytest.mark.slow
def test_layer_named_features_and_clean_route(tmp_path):
    keras.utils.set_random_seed(0)
    net = nets.convert_norms(nets.NETS["resnet_20"]([16, 16, 3], 4), "dubn")
    rng = np.random.default_rng(1)
    net.set_weights([w * (1 + rng.random(w.shape, "float32")) for w in net.get_weights()])
    images = rng.random([3, 16, 16, 3], "float32")
    with route("auxiliary"):
        other = net(images, training=False)
        serving.export(net, tmp_path / "net")
    clean = keras.Model(net.inputs, [net.get_layer("features").output, net.output])
    wanted, clean_logits = clean.predict_on_batch(images)
    loaded = tf.saved_model.load(str(tmp_path / "net"))
    features = loaded.signatures["features"](images=tf.constant(images))["features"]
    logits = loaded.signatures["serving_default"](images=tf.constant(images))["logits"]
    np.testing.assert_allclose(features, wanted, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(logits, clean_logits, rtol=1e-3, atol=1e-4)
    assert np.abs(logits - other).max() > 0.05 * np.abs(logits).max()


def test_grey_net_of_any_size(tmp_path):
    net = keras.Sequential(
        [
            keras.Input([None, None, 1]),
            keras.layers.Conv2D(2, 3, padding="same"),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    serving.export(net, tmp_path / "any")
    loaded = tf.saved_model.load(str(tmp_path / "any"))
    assert set(loaded.signatures) == {"serving_default", "uint8"}
    for size in ((3, 1, 1, 1), (1, 7, 9, 1)):
        images = np.random.default_rng(0).random(size, "float32")
        logits = loaded.signatures["serving_default"](images=tf.constant(images))["logits"]
        np.testing.assert_allclose(logits, net(images), atol=1e-6)
    serving.export(net, tmp_path / "sized", image_size=(9, 7))
    loaded = tf.saved_model.load(str(tmp_path / "sized"))
    given = photo(9, 7, 1)[..., 0]
    logits = loaded.signatures["serving_bytes"](images=tf.constant([encoded(given)]))["logits"]
    np.testing.assert_allclose(
        logits, net(given[None, ..., None].astype("float32") / 255), atol=1e-6
    )


def test_versions(make_net, tmp_path):
    serving.export(make_net(), tmp_path / "net", version=3)
    assert [p.name for p in (tmp_path / "net").iterdir()] == ["3"]
    assert (tmp_path / "net" / "3" / "saved_model.pb").is_file()
    with pytest.raises(FileExistsError, match="3 exists"):
        serving.check_target(tmp_path / "net", version=3)
    serving.check_target(tmp_path / "net", version=4)
    with pytest.raises(FileExistsError, match="is a SavedModel without versions"):
        serving.check_target(tmp_path / "net" / "3", version=1)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"class_names": ["a", "b"]}, "as many as the outputs of the net, 4; received 2"),
        ({"class_names": "abcd"}, "class_names must be a list of texts; received 'abcd'"),
        ({"class_names": [1, 2, 3, 4]}, "class_names must be a list of texts"),
        ({"version": 0}, "version must be a whole number from 1"),
        ({"image_size": (8, 8)}, r"must fit the net, which takes \[16, 16\]; received \(8, 8\)"),
        ({"resize": 8}, "crop must be a whole number from 1 to 8; received 16"),
    ],
)
def test_wrong_options(make_net, tmp_path, options, said):
    with pytest.raises(ValueError, match=said):
        serving.export(make_net(), tmp_path / "net", **options)
    assert not (tmp_path / "net").exists()
    with pytest.raises(ValueError, match=r"square images; received images of 4x5"):
        served_decoding.batch_decoder(4, 5, 3, resize=6)


def served_alone(code, *arguments, cwd):
    """What a script prints as JSON in a process that can import neither tfrobust nor Keras."""
    start = "import sys\nsys.modules['tfrobust'] = sys.modules['keras'] = None\n"
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    # -I: neither the current folder nor PYTHONPATH is searched for modules.
    done = subprocess.run(
        [sys.executable, "-I", "-c", start + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-800:]
    return json.loads(done.stdout)


def test_without_custom_objects(folder, served, tmp_path):
    """By `tf.saved_model.load`, and the way TensorFlow Serving takes: the graph alone, by names."""
    batch = [encoded(photo(30, 40), "JPEG"), b"no image"]
    (tmp_path / "good.jpeg").write_bytes(batch[0])
    pixels = photo(16, 12)[None]
    np.save(tmp_path / "pixels.npy", pixels)
    code = """if True:
        import json, numpy as np, tensorflow as tf
        try:
            import tfrobust
        except ImportError:
            pass
        else:
            raise AssertionError("tfrobust can be imported")
        folder, jpeg, pixels = sys.argv[1:]
        contents = [open(jpeg, "rb").read(), b"no image"]
        pixels = np.load(pixels, allow_pickle=False)
        floats = pixels.astype("float32") / 255
        given = {"serving_default": floats, "uint8": pixels, "features": floats}
        given["serving_bytes"] = np.array(contents, object)
        loaded = tf.saved_model.load(folder).signatures
        out = {"loaded": {}, "session": {}}
        for name, images in given.items():
            returned = loaded[name](images=tf.constant(images))
            out["loaded"][name] = {key: value.numpy() for key, value in returned.items()}
        v1 = tf.compat.v1
        with v1.Session(graph=tf.Graph()) as session:
            signatures = v1.saved_model.load(session, ["serve"], folder).signature_def
            for name, images in given.items():
                names = {key: value.name for key, value in signatures[name].outputs.items()}
                place = signatures[name].inputs["images"].name
                out["session"][name] = session.run(names, {place: images})
        as_text = lambda value: value.decode() if isinstance(value, bytes) else value.tolist()
        print(json.dumps(out, default=as_text))
    """
    out = served_alone(code, folder, tmp_path / "good.jpeg", tmp_path / "pixels.npy", cwd=tmp_path)
    floats = pixels.astype("float32") / 255
    given = {"serving_default": floats, "uint8": pixels, "features": floats, "serving_bytes": batch}
    for way in ("loaded", "session"):
        assert set(out[way]) == set(given)
        for name, images in given.items():
            wanted = served.signatures[name](images=tf.constant(images))
            assert set(out[way][name]) == set(wanted)
            for key, values in wanted.items():
                returned = out[way][name][key]
                if values.dtype == tf.string:
                    assert returned == [text.decode() for text in values.numpy()]
                else:
                    np.testing.assert_allclose(returned, values, atol=1e-5)
        assert out[way]["serving_bytes"]["ok"] == [True, False]


@pytest.mark.slow
def test_saved_model_cli(folder, served, tmp_path):
    np.save(tmp_path / "images.npy", photo(16, 12)[None])
    command = [sys.executable, "-I", "-m", "tensorflow.python.tools.saved_model_cli", "run"]
    command += ["--dir", folder, "--tag_set", "serve", "--signature_def", "uint8"]
    command += ["--inputs", f"images={tmp_path / 'images.npy'}", "--outdir", tmp_path / "out"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-800:]
    wanted = served.signatures["uint8"](images=tf.constant(photo(16, 12)[None]))["logits"]
    np.testing.assert_allclose(np.load(tmp_path / "out" / "logits.npy"), wanted, atol=1e-5)
