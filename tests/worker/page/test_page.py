"""The page's routes, asked as a browser asks: what they show, what they refuse, and that they run nothing of others."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from kuaixun.export import open_classifier
from kuaixun.schemas.dead_letter import DeadLetterReason
from kuaixun.worker.dead_letter_limit import DeadLetterLimit, Limits
from kuaixun.worker.labelling import dead_letter
from kuaixun.worker.observability.health import Health
from kuaixun.worker.observability.observatory import Observatory
from kuaixun.worker.observability.server import HttpServer
from kuaixun.worker.outcomes import TOMBSTONE, Labelled, Outcome
from kuaixun.worker.page.latest import SHOWN_CHARACTERS, SHOWN_DEAD_LETTERS, SHOWN_HEADLINES, Latest
from kuaixun.worker.records import Partition, Record
from kuaixun.worker.reload import Reloads
from kuaixun.worker.settings import read_settings
from kuaixun.worker.stop import Stop
from kuaixun.worker.witness import Parts
from tests.worker.observability.asked import ask

STATIC = Path(str(files("kuaixun.worker.page") / "static"))


def labelled(number: int, title: str = "新闻") -> Labelled:
    return Labelled(
        json.dumps(
            {
                "id": str(number),
                "title": f"{title}{number}",
                "label": "体育",
                "confidence": 0.9,
                "scores": {},
                "model": "m",
                "origin": {"topic": "raw", "partition": 0, "offset": number},
                "received_at": "2026-05-06T01:30:00Z",
                "labelled_at": "2026-05-06T01:30:01Z",
            }
        ).encode()
    )


def refused(number: int) -> Outcome:
    return dead_letter(Record("raw", 1, number, None, b"{"), DeadLetterReason.INVALID_JSON, "cut short" * 99, "1")


@contextmanager
def served() -> Iterator[tuple[str, Observatory]]:
    stop = Stop(1.0)
    observatory = Observatory(read_settings({"input_topic": "raw"}), stop, 60.0)
    with HttpServer("127.0.0.1", 0, observatory.routes) as server:
        yield server.url, observatory


def test_the_latest_are_kept_newest_first_whatever_the_batches() -> None:
    latest = Latest(wall=lambda: 5.0)
    outcomes: list[Outcome] = [labelled(number, "长" * 1000) for number in range(100)]
    latest.confirmed([], [*outcomes, TOMBSTONE, *map(refused, range(30))])
    latest.confirmed([], [labelled(100), refused(30)])
    titles = [headline.title for headline in latest.headlines()]
    assert titles[0] == "新闻100"
    assert len(titles) <= SHOWN_HEADLINES
    letters = latest.dead_letters()
    assert [letter.offset for letter in letters] == list(range(30, 30 - SHOWN_DEAD_LETTERS, -1))
    assert {(letter.at, letter.topic, letter.partition) for letter in letters} == {(5.0, "raw", 1)}
    assert all(len(letter.message) == SHOWN_CHARACTERS for letter in letters)
    latest.confirmed([], outcomes)
    assert [len(headline.title) for headline in latest.headlines()] == [SHOWN_CHARACTERS] * SHOWN_HEADLINES


@pytest.mark.parametrize("value", [b"", b"{}", b'{"id": "\xff"}', b'{"id": 5}'])
def test_an_event_that_cannot_be_read_again_is_left_out_of_the_latest(value: bytes) -> None:
    with served() as (url, observatory):
        observatory.confirmed([], [labelled(1), Labelled(value), labelled(2)])
        answer = ask(f"{url}/state.json")
        assert answer.status == 200
        assert [headline["title"] for headline in json.loads(answer.body)["headlines"]] == ["新闻2", "新闻1"]


def test_the_state_before_there_is_a_model_is_one_that_the_page_can_show() -> None:
    with served() as (url, _):
        answer = ask(f"{url}/state.json")
        assert answer.status == 200
        state = json.loads(answer.body)
        assert (state["ready"], state["model"]["labels"], state["history"]["at"]) == (False, [], [])
        assert ask(f"{url}/model-card").status == 404
        assert ask(f"{url}/classify", method="POST", body=b"{}", **{"Content-Type": "application/json"}).status == 503


@pytest.mark.parametrize(("outage_seconds", "lag"), [(0.0, 7), (3.0, None)])
def test_how_many_wait_is_not_known_while_no_broker_answers(outage_seconds: float, lag: int | None) -> None:
    counts = SimpleNamespace(labelled=5, tombstones=0, dead_lettered=Counter[DeadLetterReason]())
    parts = SimpleNamespace(
        delivery=SimpleNamespace(counts=counts),
        limit=DeadLetterLimit(Limits(0.5, 100, 100), Stop(1.0)),
        reloads=Reloads(),
    )
    with served() as (url, observatory):
        observatory.figures.parts = cast("Parts", parts)
        observatory.reaching(lambda: outage_seconds)
        observatory.figures.lags = {Partition("raw", 0): 7}
        state = json.loads(ask(f"{url}/state.json").body)
        assert (state["now"]["lag"], state["now"]["labelled"]) == (lag, 5)
        assert [trouble["kind"] for trouble in state["troubles"]] == ["brokersAway"] * (lag is None)


def test_a_headline_tried_is_labelled_as_by_the_stream_and_counted_nowhere() -> None:
    with served() as (url, observatory):
        classifier = open_classifier(engine="native")
        observatory.take_up(classifier)
        kind = {"Content-Type": "application/json"}
        title = "央行下调存款准备金率0.5个百分点"
        said = json.loads(
            ask(f"{url}/classify", method="POST", body=json.dumps({"title": title}).encode(), **kind).body
        )
        expected = classifier.classify([title])
        assert said["label"] == classifier.labels[int(expected.label_ids[0])]
        assert list(said["scores"].values()) == expected.scores[0].tolist()
        nothing = json.loads(ask(f"{url}/classify", method="POST", body=b'{"title": "  "}', **kind).body)
        assert nothing["label"] is None
        for body in (b"", b"[]", b'{"title": 5}', b'{"title": "\xff"}'):
            answer = ask(f"{url}/classify", method="POST", body=body, **kind)
            assert (answer.status, "title" in json.loads(answer.body)["error"]) == (400, True)
        # What another site's form can send without being asked for leave.
        assert ask(f"{url}/classify", method="POST", body=b"{}", **{"Content-Type": "text/plain"}).status == 415
        assert sum(observatory.figures.model.by_label().values()) == 0
        assert "A TextCNN" in ask(f"{url}/model-card").body


@pytest.mark.parametrize(("host", "status"), [("localhost:1", 200), ("127.0.0.1", 200), ("evil.example:80", 421)])
def test_another_site_s_name_opens_no_page_and_keeps_nobody_from_the_metrics(host: str, status: int) -> None:
    with served() as (url, _):
        for path in ("/", "/state.json", "/page.js"):
            assert ask(f"{url}{path}", Host=host).status == status
        assert ask(f"{url}/metrics", Host=host).status == 200


def test_a_name_that_the_operator_allows_opens_the_page() -> None:
    settings = read_settings({"page_hosts": "News.example.org, other.example"})
    with HttpServer("127.0.0.1", 0, Observatory(settings, Stop(1.0), 60.0).routes) as server:
        assert ask(f"{server.url}/", Host="news.example.org:443").status == 200
        assert ask(f"{server.url}/", Host="example.org").status == 421


def test_the_files_come_from_here_alone_and_the_browser_is_told_to_run_nothing_else() -> None:
    with served() as (url, observatory):
        page = ask(f"{url}/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert "'unsafe-inline'" not in page.headers["content-security-policy"].split("script-src")[1].split(";")[0]
        named = [*re.findall(r'(?:src|href)="([^"]+)"', page.body), "words.js", "uplot.LICENSE"]
        for name in named:
            assert ask(f"{url}/{name}").status == 200, name
        assert {("GET", f"/{file.name}") for file in STATIC.iterdir()} <= set(observatory.routes)
        assert ask(f"{url}/../page.py").status == 404


@pytest.mark.parametrize("name", ["index.html", "page.js", "page.css", "words.js"])
def test_nothing_is_asked_of_other_hosts(name: str) -> None:
    assert not re.findall(r"(?<!xmlns=\")(?:https?:)?//[a-z]", (STATIC / name).read_text("utf-8").replace("// ", ""))


def test_both_languages_say_the_same_things() -> None:
    words = (STATIC / "words.js").read_text("utf-8")
    said = [re.findall(r"(\w+):\s*\"", part) for part in re.split(r"\n  zh:", words)]
    english, chinese = map(set, said)
    assert english == chinese
    assert [len(keys) for keys in said] == [len(english)] * 2, "of a key that stands twice the later one alone counts"
    assert set(re.findall(r'data-text="(\w+)"', (STATIC / "index.html").read_text("utf-8"))) <= english
    kinds = set(re.findall(r'kind="(\w+)"', (STATIC.parent / "troubles.py").read_text("utf-8")))
    assert kinds
    assert kinds <= english
    assert set(re.findall(r'say\("(\w+)"\)', (STATIC / "page.js").read_text("utf-8"))) <= english


def test_why_a_worker_is_not_ready_is_known_to_the_page_s_words() -> None:
    now, leaves = 0.0, False
    health = Health(60.0, lambda: leaves, lambda: now)
    whys = [health.ready().why]
    health.turned(joined=False)
    whys.append(health.ready().why)
    now = 71.0
    whys.append(health.ready().why)
    leaves = True
    whys.append(health.ready().why)
    script = (STATIC / "page.js").read_text("utf-8")
    known = re.findall(r'"(\w+)"', script.split("const WHYS = ")[1].split("\n")[0])
    english = dict(re.findall(r'(\w+):\s*"([^"]*)"', (STATIC / "words.js").read_text("utf-8").split("\n  zh:")[0]))
    assert {re.sub(r"\d+", "{}", why) for why in whys} == {english[key] for key in known}
