"""What is recorded with a SavedModel, and whether it is found out when something is changed."""

import hashlib
import json
import os
import shutil

import keras
import numpy as np
import pytest

from tfrobust import cli, nets, serving
from tfrobust.layers import route
from tfrobust.serving import examples, manifest


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A SavedModel, not to be changed, and its net."""
    keras.utils.set_random_seed(3)
    net = keras.Sequential(
        [
            keras.Input([16, 12, 3]),
            keras.layers.Conv2D(4, 3, strides=4, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
        ]
    )
    folder = tmp_path_factory.mktemp("exported") / "net"
    serving.export(net, folder)
    return folder, net


@pytest.fixture
def copy(exported, tmp_path):
    """A copy of it that may be spoilt."""
    return shutil.copytree(exported[0], tmp_path / "copy")


def edit_manifest(folder, change):
    path = folder / manifest.MANIFEST
    record = json.loads(path.read_text())
    change(record["sha256"])
    path.write_text(json.dumps(record))


def rewrite_examples(folder, **arrays):
    """New examples with a manifest that fits them: only their contents are wrong."""
    np.savez(folder / examples.EXAMPLES, **arrays)
    manifest.write_manifest(folder)


def recorded_by(folder):
    with np.load(folder / examples.EXAMPLES, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def test_what_was_exported_is_verified(exported):
    folder, net = exported
    found = serving.verify(folder)
    assert found.folder == folder and found.examples == 4
    assert found.files == sum(p.is_file() for p in folder.rglob("*")) - 1  # but the manifest
    assert 0 <= found.difference < 1e-5
    recorded = recorded_by(folder)
    images = recorded["images"]
    assert images.shape == (4, 16, 12, 3) and images.dtype == np.uint8
    assert len({image.tobytes() for image in images}) == 4
    logits = net(images.astype("float32") / 255).numpy()
    np.testing.assert_allclose(recorded["logits"], logits, atol=1e-6)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(recorded["probabilities"], shares, atol=1e-6)


def test_manifest_is_sha256_of_every_other_file(exported):
    folder, _ = exported
    record = json.loads((folder / "assets.extra" / "manifest.json").read_text())
    wanted = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }
    assert record["sha256"] == wanted
    assert {"assets.extra/card.json", "assets.extra/card.md"} < set(wanted)


def test_the_same_export_records_the_same_examples(exported, tmp_path):
    folder, net = exported
    np.random.seed(99)
    serving.export(net, tmp_path / "again")
    again = recorded_by(tmp_path / "again")
    for name, values in recorded_by(folder).items():
        np.testing.assert_array_equal(again[name], values)


def test_own_examples_and_versions(make_net, images, tmp_path):
    net = make_net(activation="softmax")
    serving.export(net, tmp_path / "net", version=9)
    serving.export(net, tmp_path / "net", version=10, examples=images)
    found = serving.verify(tmp_path / "net")
    assert found.folder == tmp_path / "net" / "10" and found.examples == len(images)
    recorded = recorded_by(tmp_path / "net" / "10")
    assert set(recorded) == {"images", "probabilities"}  # the net has no logits
    np.testing.assert_array_equal(recorded["images"], images)
    np.testing.assert_allclose(recorded["probabilities"], net(images), atol=1e-6)
    assert serving.verify(tmp_path / "net" / "9").folder == tmp_path / "net" / "9"


def test_clean_route_is_recorded(tmp_path):
    keras.utils.set_random_seed(0)
    layers = [keras.Input([8, 8, 3]), keras.layers.BatchNormalization()]
    layers += [keras.layers.Flatten(), keras.layers.Dense(3)]
    net = nets.convert_norms(keras.Sequential(layers), "dubn")
    random = np.random.default_rng(1)
    net.set_weights([w + random.random(w.shape, "float32") for w in net.get_weights()])
    images = examples.example_images(net, None, None)
    clean = net(images / np.float32(255))
    with route("auxiliary"):
        recorded = examples.record(net, images)
        assert np.abs(net(images / np.float32(255)) - clean).max() > 0.01
    np.testing.assert_allclose(recorded["logits"], clean, atol=1e-5)


def test_nets_of_any_size_get_examples():
    net = keras.Sequential([keras.Input([None, None, 3]), keras.layers.GlobalAveragePooling2D()])
    assert examples.example_images(net, None, None).shape == (4, 64, 64, 3)
    made = examples.example_images(net, None, (9, 7))
    assert made.shape == (4, 9, 7, 3)
    # Many are looked at in parts.
    images = np.random.default_rng(0).random([70, 2, 3, 3], "float32")
    given = examples.example_images(net, images, None)
    recorded = examples.record(net, given)
    np.testing.assert_allclose(recorded["logits"], images.mean(axis=(1, 2)), atol=1e-6)


@pytest.mark.parametrize(
    "given, error, said",
    [
        (np.zeros([2, 16, 16], "float32"), ValueError, "examples must have shape"),
        (np.zeros([2, 16, 16], "uint8"), ValueError, "examples must be one image or more"),
        (np.zeros([0, 16, 16, 3], "uint8"), ValueError, "examples must be one image or more"),
        (np.zeros([2, 8, 16, 3], "uint8"), ValueError, r"must fit the net.*\(8, 16, 3\)"),
        (np.full([2, 16, 16, 3], 2.0), ValueError, r"examples must lie in \[0, 1\]"),
        (np.zeros([2, 16, 16, 3], "int64"), TypeError, "must be floating-point"),
    ],
)
def test_wrong_examples(make_net, tmp_path, given, error, said):
    with pytest.raises(error, match=said):
        serving.export(make_net(), tmp_path / "net", examples=given)
    assert not any(tmp_path.iterdir())


def test_net_that_returns_nan_is_refused(make_net, tmp_path):
    net = make_net()
    net.set_weights([w * np.nan for w in net.get_weights()])
    with pytest.raises(ValueError, match="must return finite values; on the examples 16 of 16"):
        serving.export(net, tmp_path / "net")
    assert not any(tmp_path.iterdir())


# Spoilt ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["saved_model.pb", "variables/variables.index", "assets.extra/card.md"]
)
def test_changed_file_is_named(copy, name):
    contents = bytearray((copy / name).read_bytes())
    contents[len(contents) // 2] ^= 1
    (copy / name).write_bytes(contents)
    with pytest.raises(ValueError, match=rf"files that were exported; '{name}' was changed$"):
        serving.verify(copy)


def test_missing_and_extra_files_are_named(copy):
    (copy / "variables" / "variables.index").unlink()
    (copy / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"")
    with pytest.raises(ValueError) as caught:
        serving.verify(copy)
    assert "'assets.extra/tf_serving_warmup_requests' is extra, 'variables/var" in str(caught.value)
    assert str(caught.value).endswith("'variables/variables.index' is missing")
    for number in range(9):
        (copy / f"{number}").write_text("")
    with pytest.raises(ValueError, match=r"'4' is extra, and 6 more$"):
        serving.verify(copy)


def test_links_are_not_followed(copy, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("")
    os.symlink(tmp_path / "elsewhere", copy / "more")
    with pytest.raises(ValueError, match=r"'more' is extra$"):
        serving.verify(copy)


def test_pipes_are_not_read(copy):
    (copy / "fingerprint.pb").unlink()
    os.mkfifo(copy / "fingerprint.pb")
    with pytest.raises(ValueError, match=r"'fingerprint\.pb' is no file$"):
        serving.verify(copy)


def test_links_in_a_circle(copy):
    (copy / "fingerprint.pb").unlink()
    os.symlink("fingerprint.pb", copy / "fingerprint.pb")
    with pytest.raises(ValueError, match=r"'fingerprint\.pb'"):
        serving.verify(copy)


def test_link_that_leads_outside_is_refused(copy, tmp_path):
    shutil.move(copy / "fingerprint.pb", tmp_path / "fingerprint.pb")
    os.symlink(tmp_path / "fingerprint.pb", copy / "fingerprint.pb")
    with pytest.raises(ValueError, match=r"inside the folder; it names 'fingerprint\.pb'"):
        serving.verify(copy)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "./a", "a//b", "..\\x", ""])
def test_manifest_must_not_leave_the_folder(copy, name):
    edit_manifest(copy, lambda listed: listed.update({name: 64 * "0"}))
    with pytest.raises(ValueError, match="must name files inside the folder; it names"):
        serving.verify(copy)


@pytest.mark.parametrize(
    "text, said",
    [
        ("{", "it is no JSON"),
        ("[]", "it holds something else"),
        ('{"format": 2, "sha256": {}}', "of format 1; it holds something else"),
        ('{"format": 1, "sha256": {"a": 5}}', "it holds something else"),
        (None, "it was exported by an older version"),
    ],
)
def test_bad_manifest(copy, text, said):
    path = copy / manifest.MANIFEST
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(ValueError, match=said):
        serving.verify(copy)


def test_other_outputs_are_found_out(copy):
    """The files are as the manifest says, but the model is not that of the examples."""
    recorded = recorded_by(copy)
    rewrite_examples(copy, **{**recorded, "logits": recorded["logits"] + np.float32(0.01)})
    with pytest.raises(
        ValueError, match=r"recorded logits within 0\.0001; serving_default differs"
    ):
        serving.verify(copy)
    assert 0.005 < serving.verify(copy, tolerance=0.02).difference <= 0.011
    rewrite_examples(copy, images=recorded["images"], probabilities=recorded["logits"][:, :3])
    with pytest.raises(ValueError, match=r"recorded probabilities .* differs by inf"):
        serving.verify(copy)


def test_examples_that_the_model_cannot_take(copy):
    recorded = recorded_by(copy)
    rewrite_examples(copy, images=recorded["images"][..., :2], logits=recorded["logits"])
    with pytest.raises(ValueError, match="must load and serve its examples; it fails"):
        serving.verify(copy)


def test_examples_are_never_unpickled(copy):
    class Harm:
        def __reduce__(self):
            return (os.mkdir, (str(copy / "harm"),))

    rewrite_examples(copy, images=np.array([Harm()], object), logits=np.zeros([1, 4], "float32"))
    with pytest.raises(ValueError, match="must hold plain arrays"):
        serving.verify(copy)
    assert not (copy / "harm").exists()


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"images": np.zeros([2, 16, 12, 3], "uint8")},
        {"images": np.zeros([2, 16, 12, 3], "uint8"), "logits": np.zeros([3, 4], "float32")},
        {"images": np.zeros([0, 16, 12, 3], "uint8"), "logits": np.zeros([0, 4], "float32")},
        {"images": np.zeros([2, 16, 12, 3], "int32"), "logits": np.zeros([2, 4], "float32")},
    ],
)
def test_examples_of_another_kind(copy, arrays):
    rewrite_examples(copy, **arrays)
    with pytest.raises(ValueError, match=r"must hold images .* it holds"):
        serving.verify(copy)


def test_examples_that_are_missing_or_damaged(copy):
    (copy / examples.EXAMPLES).write_bytes(b"PK\x03\x04 no archive")
    manifest.write_manifest(copy)
    with pytest.raises(ValueError, match="must hold plain arrays; reading them failed"):
        serving.verify(copy)
    (copy / examples.EXAMPLES).unlink()
    manifest.write_manifest(copy)
    with pytest.raises(ValueError, match=r"has no assets\.extra/examples\.npz"):
        serving.verify(copy)


def test_no_saved_model(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        serving.verify(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"it has no saved_model\.pb"):
        serving.verify(tmp_path)


def test_on_the_command_line(copy, capsys):
    assert cli.main(["verify", str(copy)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{copy}: 7 files as exported, 4 examples differ by at most ")
    assert out.count("\n") == 1
    (copy / "saved_model.pb").write_bytes(b"")
    assert cli.main(["verify", str(copy)]) == 2
    err = capsys.readouterr().err
    assert "'saved_model.pb' was changed" in err and err.count("\n") == 1
    assert cli.main(["verify", str(copy / "variables")]) == 2
    assert "is no SavedModel" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        cli.main(["verify", str(copy), "--tolerance", "0"])
