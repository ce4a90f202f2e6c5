"""The table, the figure and the section of a search."""

import json

import pytest

from tfrobust import reports
from tfrobust.reports.figures import encoded

ABOUT = {
    "tuner": "grid",
    "objective": "score",
    "direction": "max",
    "clean_floor": 0.95,
    "space": [{"name": "gamma", "scale": "log"}],
}


def record(number, gamma, clean, robust, **changes):
    keeps = clean >= 0.95
    return {
        "number": number,
        "values": {"gamma": gamma},
        "status": "completed",
        "epochs": 6,
        "epoch": 5,
        "clean_accuracy": clean,
        "robust_accuracy": robust,
        "score": robust if keeps else clean - 1.95,
        "keeps_floor": keeps,
        "message": "",
        **changes,
    }


FAILED = {"number": 4, "values": {"gamma": 10.0}, "status": "failed", "epochs": 6, "message": "NaN"}
RECORDS = [
    record(1, 0.01, 0.97, 0.80),
    FAILED,
    record(2, 0.1, 0.96, 0.85),
    record(3, 1.0, 0.90, 0.88),
]


def test_the_start_model_is_a_line():
    start = {"clean_accuracy": 0.97, "robust_accuracy": 0.8, "difference": 0.05}
    start.update(difference_low=0.03, difference_high=0.07)
    table = reports.trials_table(RECORDS, ABOUT, start)
    assert table.labels[-1] == "start" and table.values[-1][-4:-2] == (97.0, 80.0)
    assert table.texts[-1][-1] == "start model; the best is +5.0 points more robust (+3.0 to +7.0)"
    assert table.texts[:-1] == reports.trials_table(RECORDS, ABOUT).texts


def test_table():
    table = reports.trials_table(RECORDS, ABOUT)
    assert table.to_text() == (
        "Trial  gamma   Clean (%)   Robust (%)   Epoch   Note\n"
        "----------------------------------------------------------------\n"
        "2        0.1       96.00        85.00*      5   best\n"
        "1       0.01       97.00        80.00       5\n"
        "3          1       90.00        88.00       5   below the floor\n"
        "4         10           –            –       –   failed: NaN\n"
        "Clean and robust accuracy on validation images, after the best epoch of each trial.\n"
        "Trials with less than 95.00% on clean images rank below all others.\n"
    )
    assert "| 2 | 0.1 | 96.00 | **85.00** | 5 | best |" in table.to_markdown()
    assert "<strong>85.00</strong>" in table.to_html()


def test_another_objective_has_a_column():
    about = {**ABOUT, "objective": "val_loss", "direction": "min", "clean_floor": None}
    losses = [record(1, 0.1, 0.97, 0.8, score=0.5), record(2, 1.0, 0.96, 0.85, score=0.25)]
    table = reports.trials_table(losses, about)
    assert table.columns == ("gamma", "Clean (%)", "Robust (%)", "val_loss", "Epoch", "Note")
    assert table.labels == ("2", "1") and table.best == {(0, 3)}
    assert len(table.notes) == 1


def test_epochs_are_told_where_they_differ():
    """Hyperband's first trials are shorter."""
    records = [record(1, 0.1, 0.97, 0.8, epochs=2, epoch=1), record(2, 0.1, 0.97, 0.9)]
    assert [cells[3] for cells in reports.trials_table(records, ABOUT).texts] == [
        "5 of 6",
        "1 of 2",
    ]


def test_best_below_the_floor_says_so():
    table = reports.trials_table([record(1, 1.0, 0.9, 0.8)], ABOUT)
    assert table.texts[0][-1] == "best, but below the floor"


def test_figure_has_one_plot_a_parameter_with_its_scale():
    about = {**ABOUT, "space": [*ABOUT["space"], {"name": "p", "scale": "linear"}]}
    records = [{**r, "values": {**r["values"], "p": 0.5}} for r in RECORDS]
    figure = reports.trials_figure(records, about)
    first, second = figure.axes
    assert (first.get_xlabel(), first.get_xscale()) == ("gamma", "log")
    assert (second.get_xlabel(), second.get_xscale()) == ("p", "linear")
    drawn = {line.get_label(): line for line in first.get_lines()}
    assert list(drawn["Clean"].get_xdata()) == [0.01, 0.1, 1.0]  # the failed one is not there
    assert list(drawn["Clean"].get_ydata()) == [97, 96, 90]
    assert list(drawn["Robust"].get_ydata()) == [80, 85, 88]
    assert list(drawn["Robust, below the floor"].get_xdata()) == [1.0]
    assert list(drawn["Best trial"].get_xdata()) == [0.1]
    assert drawn["Floor (clean)"].get_ydata()[0] == 95
    # Without colour: other markers, other lines, and hollow below the floor.
    assert drawn["Clean"].get_marker() != drawn["Robust"].get_marker()
    one = {line.get_label(): line for line in reports.trials_figure(RECORDS, ABOUT).axes[0].lines}
    assert one["Clean"].get_linestyle() != one["Robust"].get_linestyle()
    assert drawn["Robust, below the floor"].get_markerfacecolor() == "white"
    assert encoded(figure, "png") == encoded(reports.trials_figure(records, about), "png")


def test_many_parameters_and_single_trials_are_drawn():
    names = ["a", "b", "c", "d"]
    records = [{**RECORDS[0], "values": dict.fromkeys(names, 1.0)}]
    figure = reports.trials_figure(records, {"space": [{"name": name} for name in names]})
    assert [axes.get_xlabel() for axes in figure.axes if axes.axison] == names


def test_report_of_a_search_alone(tmp_path):
    (tmp_path / "trials.jsonl").write_text("".join(json.dumps(r) + "\n" for r in RECORDS))
    (tmp_path / "tuning.json").write_text(json.dumps(ABOUT))
    text = " ".join(reports.write_report(tmp_path).read_text().split())
    assert "<h2>Trials of the search</h2>" in text
    assert "4 trials, tuner grid. Ranked by robust accuracy" in text
    assert "best" in text and "below the floor" in text and "failed: NaN" in text
    assert 'alt="Clean and robust validation accuracy of each trial against gamma.' in text


def test_a_search_in_which_all_failed_has_a_table(tmp_path):
    (tmp_path / "trials.jsonl").write_text(json.dumps(FAILED) + "\n")
    (tmp_path / "tuning.json").write_text(json.dumps(ABOUT))
    text = reports.write_report(tmp_path).read_text()
    assert "failed: NaN" in text and "<svg" not in text and "data:image" not in text


@pytest.mark.parametrize("line", ["nothing", "[]", '{"number": 1}'])
def test_damaged_files_are_named(tmp_path, line):
    (tmp_path / "trials.jsonl").write_text(line + "\n")
    (tmp_path / "tuning.json").write_text(json.dumps(ABOUT))
    with pytest.raises(ValueError, match=r"trials.jsonl must hold one trial a line"):
        reports.write_report(tmp_path)
    (tmp_path / "tuning.json").write_text("[]")
    with pytest.raises(ValueError, match=r"tuning.json must hold the settings"):
        reports.write_report(tmp_path)


def test_nothing_to_show():
    with pytest.raises(ValueError, match="needs one trial or more; received none"):
        reports.trials_table([], ABOUT)
    with pytest.raises(ValueError, match="needs one that was completed"):
        reports.trials_figure([FAILED], ABOUT)
