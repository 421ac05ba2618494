"""The status page in a real browser, before a gateway whose first target is down."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import SimpleNamespace

import httpx
import pytest

from tests.server.browser import Browser, found
from tests.server.loopback import ADMIN, KEY, SPITEFUL, gateway, vendor

pytestmark = pytest.mark.slow

# CI has installed what a developer's machine may be without; the variable is read before each test starts without it.
_MUST = "LLMSWITCH_CI" in os.environ


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """The page after a few requests; `ask` sends one more."""
    program = found()
    if program is None and not _MUST:
        pytest.skip("there is no Chromium: apt-get install chromium-headless-shell")
    assert program is not None, "there is no Chromium"
    folder = tmp_path_factory.mktemp("status")
    with vendor() as first, vendor() as second, gateway(first, second, folder) as (_, public, admin):

        def ask(model: str = "main", **headers: str) -> int:
            body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
            headers = {"authorization": f"Bearer {KEY}", **headers}
            return httpx.post(f"{public}/v1/chat/completions", json=body, headers=headers).status_code

        assert [200, 200, 200] == [ask(), ask(), ask(SPITEFUL)]
        assert ask("first:down", **{"x-request-timeout": "0.3"}) >= 500
        browser = Browser(program, folder / "profile")
        try:
            at = admin.replace("://", f"://ops:{ADMIN}@")
            browser.call("Page.navigate", url=f"{at}/status")
            browser.wait("document.querySelectorAll('#answers td').length")
            yield SimpleNamespace(page=browser, ask=ask, admin=admin, second=second)
        finally:
            browser.close()


def rows(page: Browser, table: str) -> list[list[str]]:
    """The cells of a table, as they are read."""
    cells = "[...row.cells].map((cell) => cell.innerText)"
    found: list[list[str]] = page.see(f"[...document.querySelectorAll('#{table} tr')].slice(1).map((row) => {cells})")
    return found


def test_it_shows_who_is_out_who_answered_and_what_failed(seen):
    """Health, answers with their failures, a mark for each in the plots; words of a client or vendor stay text."""
    page = seen.page
    health = {row[0]: row[1:3] for row in rows(page, "targets")}
    assert ["ok", ""] == health["deepseek:deepseek-flash"]
    assert ("Overloaded", True) == (health["first:down"][1], health["first:down"][0] != "ok")
    answers = rows(page, "answers")[::-1]
    assert ["chat/completions", "alice", "main", "deepseek:deepseek-flash"] == answers[0][1:5]
    assert "first:down Overloaded 503" == answers[0][5]
    assert SPITEFUL == answers[2][3]
    assert answers[3][4].endswith(("502", "503", "504"))
    assert [len(answers), 60] == [
        page.see(f"document.querySelectorAll('{each}').length") for each in ("circle", "rect")
    ]
    assert "USD for the last 4 requests" in page.see("document.getElementById('cost').innerText")
    assert 0 == page.see("document.images.length")


def test_it_changes_without_being_loaded_again(seen):
    """One more request is one more row, seconds later."""
    seen.page.see("window.kept = true")
    before = len(rows(seen.page, "answers"))
    assert 200 == seen.ask()
    seen.page.wait(f"document.querySelectorAll('#answers tr').length === {before + 2}")
    assert seen.page.see("window.kept")


def test_the_drill_begins_and_ends_there(seen):
    """Two buttons; while it is on, the page says so and the provider answers nobody."""
    page = seen.page
    page.see(
        "document.getElementById('provider').value = 'deepseek'; document.getElementById('fault').value = 'refused'"
    )
    page.see("document.getElementById('rehearse').click()")
    page.wait("document.getElementById('drill').innerText.includes('deepseek=refused')")
    asked = len(seen.second.asked)
    assert seen.ask(**{"x-request-timeout": "0.3"}) >= 500
    assert asked == len(seen.second.asked)
    page.see("document.getElementById('end').click()")
    page.wait("document.getElementById('drill').innerText === ''")


def test_nothing_overlaps_or_sticks_out(seen, tmp_path):
    """On a wide screen and on a telephone's, bright and dark: no part of the page is wider than it."""
    for scheme, width in (("light", 1200), ("dark", 420)):
        seen.page.picture(tmp_path / f"{scheme}.png", scheme, width)
        assert seen.page.see("document.documentElement.scrollWidth") <= width
        assert (tmp_path / f"{scheme}.png").stat().st_size > 10_000
    ground = seen.page.see("getComputedStyle(document.body).backgroundColor")
    assert "rgb(22, 24, 28)" == ground


def test_no_key_no_page_and_nothing_from_elsewhere(seen):
    """It asks its own gateway alone and complains of nothing; the browser runs no script that was slipped in."""
    page = seen.page
    assert 401 == httpx.get(f"{seen.admin}/status").status_code
    assert [] == page.complaints
    assert {seen.admin} == {url.rpartition("/")[0].replace(f"ops:{ADMIN}@", "") for url in page.fetched}
    page.see("document.body.append(Object.assign(document.createElement('script'), { text: 'window.slipped = 1' }))")
    asked = len(seen.second.asked)
    elsewhere = f"fetch('{seen.second.base_url}', {{ method: 'POST', mode: 'no-cors', body: '{{}}' }})"
    assert "refused" == page.see(f"{elsewhere}.then(() => 'sent', () => 'refused')")
    assert (None, asked) == (page.see("window.slipped"), len(seen.second.asked))
    assert 2 <= sum("Content Security Policy" in each for each in page.complaints)
    page.complaints.clear()


def test_it_says_when_the_gateway_is_gone(seen):
    """What was shown last stays, under a notice that goes by itself when the gateway is back."""
    page, limits = seen.page, {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    page.call("Network.emulateNetworkConditions", offline=True, **limits)
    page.wait("document.getElementById('lost').innerText.includes('be reached')")
    assert rows(page, "answers")
    page.call("Network.emulateNetworkConditions", offline=False, **limits)
    page.wait("document.getElementById('lost').innerText === ''")
    page.complaints.clear()
