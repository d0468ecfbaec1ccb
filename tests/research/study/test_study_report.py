"""The figures of a study, by hand and against published ones."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from lumiere.metrics.intervals import wilson
from lumiere.research.study.agreement import krippendorff_alpha
from lumiere.research.study.plan import ANSWERS, load
from lumiere.research.study.report import Report, coin_test
from lumiere.research.study.storage import Answer, Storage

# Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", sections A and C.
TWO_OBSERVERS = ("0100000010", "1110010000")
FOUR_OBSERVERS = ("123321412   ", "1233224125 3", " 3332342251 ", "12332441251 ")


def units(observers: tuple[str, ...]) -> list[list[str]]:
    return [[value for value in unit if value != " "] for unit in zip(*observers, strict=True)]


def test_agreement_is_as_published() -> None:
    assert krippendorff_alpha(units(TWO_OBSERVERS)) == pytest.approx(0.095, abs=5e-4)
    assert krippendorff_alpha(units(FOUR_OBSERVERS)) == pytest.approx(0.743, abs=5e-4)


def test_agreement_of_all_of_none_and_undefined() -> None:
    assert krippendorff_alpha([[True, True], [False, False, False]]) == 1
    assert krippendorff_alpha([[True, False], [False, True]]) == pytest.approx(-0.5)
    assert krippendorff_alpha([[True, True], [True, True]]) is None
    assert krippendorff_alpha([[True], [False], []]) is None
    assert krippendorff_alpha([]) is None


@given(throws=st.integers(0, 300), share=st.floats(0, 1))
def test_the_coin_test_is_scipys(throws: int, share: float) -> None:
    heads = round(throws * share)
    expected = binomtest(heads, throws).pvalue if throws else 1
    assert coin_test(heads, throws) == pytest.approx(expected, rel=1e-9)


def test_the_coin_test_of_many_throws() -> None:
    assert coin_test(10_200, 20_000) == pytest.approx(binomtest(10_200, 20_000).pvalue, rel=1e-9)
    assert 0 <= coin_test(19_500, 20_000) < 1e-300


class Answering:
    """Raters who say what a test wants."""

    def __init__(self, folder: Path) -> None:
        self.study = load(folder)
        self.storage = Storage(folder / ANSWERS, self.study.id)

    def rater(self, preferred: dict[str, bool], wrong: int = 0, checks: bool = True) -> None:
        """One rater, who prefers the method to each rival or not, to both questions alike."""
        number = self.storage.rater(self.storage.join())
        assert number is not None
        for trial in self.study.trials(number):
            pair = trial.pair
            for question in (1, 2):
                if pair.rival is None and not checks:
                    continue
                if pair.rival is None:
                    chosen = pair.rival_clip if question <= wrong else pair.clip
                else:
                    chosen = pair.clip if preferred[pair.rival] else pair.rival_clip
                side = ("left", "right")[trial.clips.index(chosen)]
                self.storage.put(Answer(number, pair.id, question, chosen, side, 2.0, 0))


@pytest.fixture
def answered(study: Path) -> Path:
    """4 raters prefer the method to pika and not to zeroscope; 1 has it the other way round."""
    answering = Answering(study)
    for _ in range(4):
        answering.rater({"pika": True, "zeroscope": False})
    answering.rater({"pika": False, "zeroscope": True})
    answering.storage.close()
    return study


def test_preferences_are_counted_by_question_and_rival(answered: Path) -> None:
    report = Report.of(answered)
    assert (report.raters, report.counted, report.failed, report.unchecked) == (5, 5, 0, 0)
    assert report.seconds == 2.0 and report.left is not None and 0 <= report.left <= 1
    assert [(p.question, p.rival) for p in report.preferences] == [
        (question, rival) for question in load(answered).questions for rival in ("pika", "zeroscope")
    ]
    by_rival = {"pika": [0, 0], "zeroscope": [0, 0]}
    study = load(answered)
    for rater in range(1, 6):
        for trial in study.trials(rater):
            if trial.pair.rival is not None:
                by_rival[trial.pair.rival][0] += (rater < 5) == (trial.pair.rival == "pika")
                by_rival[trial.pair.rival][1] += 1
    assert sum(total for _, total in by_rival.values()) == 5 * 3
    for preference in report.preferences:
        preferred, total = by_rival[preference.rival]
        assert (preference.preferred, preference.answers) == (preferred, total)
        assert preference.share == preferred / total
        assert (preference.low, preference.high) == wilson(preferred, total)
        assert preference.p == pytest.approx(binomtest(preferred, total).pvalue)


def test_inattentive_raters_are_left_out_and_counted(answered: Path) -> None:
    before = Report.of(answered)
    answering = Answering(answered)
    answering.rater({"pika": False, "zeroscope": True}, wrong=1)
    answering.rater({"pika": False, "zeroscope": True}, wrong=2)
    answering.rater({"pika": False, "zeroscope": True}, checks=False)
    answering.storage.close()
    report = Report.of(answered)
    assert (report.raters, report.counted, report.failed, report.unchecked) == (8, 5, 2, 1)
    assert report.preferences == before.preferences
    lenient = Report.of(answered, failures=1)
    assert (lenient.counted, lenient.failed) == (6, 1)
    assert sum(p.answers for p in lenient.preferences) == sum(p.answers for p in report.preferences) + 6


def test_the_report_on_the_terminal_as_json_and_as_a_page(run, answered: Path, tmp_path: Path) -> None:
    code, out, err = run("study", "report", answered)
    head, *lines = out.splitlines()
    assert (code, err) == (0, "")
    assert head.startswith("5 of 5 raters counted; left clip chosen ")
    assert head.endswith("median 2.0 s an answer")
    assert lines[:2] == ["", "Which clip matches the prompt better?  ours preferred to"]
    report = Report.of(answered)
    pika = report.preferences[0]
    interval = f"[{100 * pika.low:.0f}, {100 * pika.high:.0f}]"
    share = f"{100 * (pika.share or 0):.1f}"
    figures = ["pika", share, "%", *interval.split(), "of", str(pika.answers), "p", "=", f"{pika.p:.3f}"]
    assert lines[2].split()[:-1] == [*figures, "alpha"]

    page = tmp_path / "report.html"
    code, out, _ = run("study", "report", answered, "--json", "--html", page)
    assert code == 0 and json.loads(out) == json.loads(json.dumps(report.facts()))
    body = page.read_text("utf-8").partition("<body>")[2].partition("</body>")[0]
    tree = ElementTree.fromstring(f"<body>{body}</body>")
    assert ["".join(row[0].itertext()) for row in tree.findall(".//tbody/tr")] == ["pika", "zeroscope"] * 2
    dots = [float(dot.attrib["cx"].rstrip("%")) for dot in tree.iter("circle")]
    assert dots == [pytest.approx(100 * (p.share or math.nan), abs=0.06) for p in report.preferences]
    code, _, err = run("study", "report", answered, "--html", page)
    assert code == 2 and "exists" in err
    assert run("study", "report", answered, "--html", page, "--overwrite")[0] == 0


def test_names_are_no_markup_in_the_page(run, folders: dict[str, Path], tmp_path: Path) -> None:
    from lumiere.research.study.build import build

    folder = tmp_path / "study"
    build({"<b>ours": folders["ours"], "a&b": folders["pika"]}, folder, questions=["<i>?"], checks=0)
    Storage(folder / ANSWERS, load(folder).id).close()
    assert run("study", "report", folder, "--html", tmp_path / "report.html")[0] == 0
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "&lt;b&gt;ours" in page and "a&amp;b" in page and "&lt;i&gt;?" in page
    assert "<b>" not in page and "<i>" not in page and "<circle" not in page and "0 of 0 raters" in page


def test_a_study_that_was_never_served_has_no_report(run, study: Path) -> None:
    code, out, err = run("study", "report", study)
    assert code == 2 and out == "" and "has no answers yet; ask for some with `lumiere study serve" in err
