"""The page in a real browser, while a worker labels: what it shows is what the metrics say, live, in both languages.

Needs Chromium (Debian's `chromium`); without it these tests are skipped.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.worker.observability.asked import ask, value

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE_MILLISECONDS = 120_000

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on the PATH: apt-get install chromium")


@pytest.fixture(scope="module")
def demo_url() -> Iterator[str]:
    """A demo that goes on for as long as the tests need it."""
    command = [sys.executable, "-m", "kuaixun.worker.cli", "demo", "--seconds", "600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as demo:
        try:
            assert demo.stdout is not None
            yield next(found[0] for line in demo.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
        finally:
            demo.terminate()
            demo.communicate()


@pytest.fixture
def said() -> list[str]:
    """What the browser says of faults; a test that makes requests fail takes out what it says of those."""
    return []


@pytest.fixture
def page(demo_url: str, said: list[str]) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(locale="en-GB", viewport={"width": 400, "height": 800})
        page.set_default_timeout(PATIENCE_MILLISECONDS)
        expect.set_options(timeout=PATIENCE_MILLISECONDS)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(demo_url)
        expect(page.locator("#state")).to_have_text("ready")
        expect(page.locator("#headlines .said").first).to_be_visible()
        yield page
        browser.close()
        assert said == [], "neither a fault nor something that the policy forbids"


def shown(page: Page, tile: str) -> int:
    return int(page.locator(f"#{tile}").inner_text().replace(",", ""))


def test_the_figures_are_those_of_the_metrics_and_go_on_without_reloading(page: Page, demo_url: str) -> None:
    def metric(name: str, **labels: str) -> float:
        return value(ask(f"{demo_url}/metrics").body, name, **labels)

    found = []
    for _ in range(3):
        before = metric("kuaixun_outcomes_total", outcome="labelled")
        # What is shown was asked for after `before`, once it has changed twice.
        for _ in range(2):
            then = page.locator("#labelled").inner_text()
            expect(page.locator("#labelled")).not_to_have_text(then)
        count = shown(page, "labelled")
        assert before <= count <= metric("kuaixun_outcomes_total", outcome="labelled")
        found.append(count)
    assert all(one < other for one, other in pairwise(found))
    assert shown(page, "dead") > 0
    assert page.locator("#dead-letters li").count() > 0
    assert page.locator("#rate-plot canvas").is_visible()
    assert page.locator("#legend li").count() == 10


def test_a_headline_is_tried_with_a_bar_for_each_class(page: Page) -> None:
    page.fill("#title", "央行下调存款准备金率0.5个百分点")
    page.click("#try button")
    expect(page.locator("#bars li")).to_have_count(10)
    shares = [float(share.removesuffix(" %")) for share in page.locator("#bars .share").all_inner_texts()]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=1)
    widths = [box["width"] for bar in page.locator("#bars .bar").all() if (box := bar.bounding_box()) is not None]
    assert widths[0] > 2 * widths[1] > 0
    page.fill("#title", "<b>&nbsp;</b>")
    page.click("#try button")
    expect(page.locator("#verdict")).to_have_text("nothing is left of it after cleaning")


def test_an_engine_that_fails_and_a_worker_that_hangs_are_said_where_a_headline_is_tried(
    page: Page, said: list[str]
) -> None:
    page.fill("#title", "央行下调存款准备金率0.5个百分点")
    page.route("**/classify", lambda route: route.fulfill(status=500, body="500 Internal Server Error\n"))
    page.click("#try button")
    expect(page.locator("#verdict")).to_have_text("500 Internal Server Error")
    page.unroute("**/classify")
    page.route("**/classify", lambda _route: None)
    page.click("#try button")
    expect(page.locator("#verdict")).to_have_text("the worker does not answer")
    assert page.locator("#bars li").count() == 0
    assert len(said) == 1
    assert "status of 500" in said.pop()


def test_a_worker_that_hangs_is_said_not_to_answer_until_it_does(page: Page) -> None:
    expect(page.locator("body")).not_to_have_class("gone")
    page.route("**/state.json", lambda _route: None)
    expect(page.locator("#state")).to_have_text("the worker does not answer")
    expect(page.locator("body")).to_have_class("gone")
    expect(page.locator("main")).to_have_css("opacity", "0.45")
    page.unroute("**/state.json")
    expect(page.locator("#state")).to_have_text("ready")
    expect(page.locator("body")).not_to_have_class("gone")


LIMIT_REACHED = {"kind": "limitReached", "figure": 0.6, "in_a_row": 0, "said": "because"}


def test_what_a_worker_said_last_stays_when_it_goes(page: Page, said: list[str]) -> None:
    page.route("**/state.json", lambda route: route.fulfill(json=route.fetch().json() | {"troubles": [LIMIT_REACHED]}))
    expect(page.locator("#troubles li")).to_have_text(SENTENCES["en"][1])
    page.unroute("**/state.json")
    page.route("**/state.json", lambda route: route.abort("connectionrefused"))
    expect(page.locator("#state")).to_have_text("the worker does not answer")
    expect(page.locator("#state")).not_to_have_class("ready")
    expect(page.locator("#troubles li")).to_have_text(f"The last it said: {SENTENCES['en'][1]}")
    page.click("#language")
    expect(page.locator("#troubles li")).to_have_text(f"停止应答前的最后消息：{SENTENCES['zh'][1]}")
    expect(page.locator("#state")).to_have_text("工作进程没有应答")
    page.unroute("**/state.json")
    expect(page.locator("#state")).to_have_text("就绪")
    expect(page.locator("#troubles")).not_to_contain_text("停止应答")
    assert all("ERR_CONNECTION_REFUSED" in one for one in said)
    said.clear()


@pytest.mark.parametrize(
    ("why", "chinese"),
    [
        ("waiting for a share of the partitions", "等待分配分区"),
        ("the loop has stood still for 71 s", "主循环已停顿 71 s"),
        ("the moon is full", "the moon is full"),
    ],
)
def test_why_a_worker_is_not_ready_is_said_in_both_languages(page: Page, why: str, chinese: str) -> None:
    unready = {"ready": False, "why": why}
    page.route("**/state.json", lambda route: route.fulfill(json=route.fetch().json() | unready))
    expect(page.locator("#state")).to_have_text(why)
    expect(page.locator("#state")).not_to_have_class("ready")
    page.click("#language")
    expect(page.locator("#state")).to_have_text(chinese)


def test_a_trouble_leaves_the_dot_of_a_ready_worker_as_it_is(page: Page) -> None:
    page.route("**/state.json", lambda route: route.fulfill(json=route.fetch().json() | {"troubles": [LIMIT_REACHED]}))
    expect(page.locator("#troubles li")).to_have_count(1)
    expect(page.locator("#state")).to_have_class("ready")


def test_a_browser_that_keeps_nothing_shows_the_page_all_the_same(page: Page) -> None:
    page.add_init_script("""
        const get = () => { throw new DOMException("blocked", "SecurityError"); };
        Object.defineProperty(window, "localStorage", { get });
    """)
    page.reload()
    expect(page.locator("#state")).to_have_text("ready")
    page.click("#language")
    expect(page.locator("#state")).to_have_text("就绪")


def test_a_model_card_that_does_not_come_is_asked_for_again(page: Page, said: list[str]) -> None:
    page.route("**/model-card", lambda route: route.fulfill(status=503, json={"error": "the card is on its way"}))
    page.reload()
    page.click("summary")
    expect(page.locator("#card")).to_have_text("the card is on its way")
    page.unroute("**/model-card")
    expect(page.locator("#card")).to_contain_text("A TextCNN")
    assert all("status of 503" in one for one in said)
    said.clear()


def test_what_drew_a_plot_is_gone_with_it(page: Page) -> None:
    page.add_init_script("""
        window.watched = new Set();
        const { observe, disconnect } = ResizeObserver.prototype;
        ResizeObserver.prototype.observe = function (...of) { watched.add(this); observe.apply(this, of); };
        ResizeObserver.prototype.disconnect = function () { watched.delete(this); disconnect.apply(this); };
    """)
    page.reload()
    for _ in range(2):
        expect(page.locator("#mix-plot canvas")).to_be_visible()
        page.click("#language")
    expect(page.locator("#mix-plot canvas")).to_be_visible()
    assert page.locator(".uplot").count() == 3
    assert page.evaluate("watched.size") == 3


HEADINGS = {
    "en": ["Try a headline", "Dead letters", "Latest headlines", "Model"],
    "zh": ["试一条标题", "死信", "最新标题", "模型"],
}
SENTENCES = {
    "en": [
        "No broker has answered for 12 s: nothing is lost, and nothing is labelled.",
        "60.0 % of the last headlines became dead letters, and this worker stops. · because",
        "850 headlines in a row became dead letters, which is near the limit at which this worker stops.",
        "8.0 % of the last headlines became dead letters.",
        "A new bundle is refused, and the model before it serves on.",
    ],
    "zh": [
        "Kafka 已 12 s 没有应答：不会丢失，但暂停标注。",
        "最近的标题中有 60.0 % 成为死信，工作进程即将停止。 · because",
        "连续 850 条标题成为死信，接近停机上限。",
        "最近的标题中有 8.0 % 成为死信。",
        "新的模型包被拒绝，原模型继续服务。",
    ],
}


def test_headings_are_headings_and_every_sentence_has_its_figure(page: Page) -> None:
    troubles = [
        {"kind": "brokersAway", "figure": 12, "in_a_row": 0, "said": ""},
        {"kind": "limitReached", "figure": 0.6, "in_a_row": 0, "said": "because"},
        {"kind": "limitNear", "figure": 0.05, "in_a_row": 850, "said": ""},
        {"kind": "manyDeadLetters", "figure": 0.08, "in_a_row": 0, "said": ""},
        {"kind": "bundleRefused", "figure": 2, "in_a_row": 0, "said": ""},
    ]
    page.route("**/state.json", lambda route: route.fulfill(json=route.fetch().json() | {"troubles": troubles}))
    for language in ("en", "zh"):
        expect(page.locator("html")).to_have_attribute("lang", language)
        expect(page.locator("h2")).to_have_text(HEADINGS[language])
        expect(page.locator("#troubles li")).to_have_text(SENTENCES[language])
        shown = page.locator("body").inner_text()
        assert "{}" not in shown
        assert "undefined" not in shown
        page.click("#language")


def test_it_speaks_chinese_too_and_fits_a_phone(page: Page) -> None:
    page.click("#language")
    expect(page.locator("#tiles .tile span").first).to_have_text("条 / 秒")
    assert page.locator("html").get_attribute("lang") == "zh"
    width, visible = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert width <= visible, "nothing is to be scrolled for sideways"
