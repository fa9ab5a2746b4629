"""The audit report in a real Chromium without a network: nothing is loaded, it can be searched, read without scripts, printed."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from bench.generate import write_roles
from demo.programs import PODKEYS
from tests.policies import chromium

EXAMPLE = Path(__file__).parents[2] / "deploy" / "example" / "generated"
SERVICES = 200
WIDE = """path "kv/*" {
  capabilities = ["read", "list"]
}
path "sys/policies/acl/*" {
  capabilities = ["create", "update"]
}
"""


@pytest.fixture(scope="module")
def page() -> Iterator[chromium.Page]:
    if not chromium.PROGRAM:
        reason = (
            "no chromium on PATH, and the report is tried in a real browser (Debian: apt install chromium)"
        )
        if os.environ.get("PODKEYS_TESTS") == "all":
            pytest.fail(reason)
        pytest.skip(reason)
    with chromium.running() as found:
        yield found


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report(EXAMPLE, tmp_path_factory.mktemp("example"))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 generated services, and one policy that reaches over all of them."""
    folder = tmp_path_factory.mktemp("many")
    subprocess.run(write_roles(folder, SERVICES), check=True, capture_output=True)
    (folder / "out" / "wide.hcl").write_text(WIDE)
    return report(folder / "out", folder / "report")


def report(folder: Path, out: Path) -> Path:
    words = [
        PODKEYS,
        "policies",
        "audit",
        "--policies",
        str(folder),
        "--out",
        str(out),
        "--now",
        "2030-01-31T12:00:00Z",
    ]
    subprocess.run(words, check=True, capture_output=True, cwd=out.parent)
    return out / "audit.html"


def shown(page: chromium.Page, rows: str) -> int:
    """How many of the rows that a CSS selector finds can be seen."""
    found: int = page.value(
        f"[...document.querySelectorAll('{rows}')].filter((one) => one.offsetHeight > 0).length"
    )
    return found


def test_the_page_loads_nothing_and_complains_of_nothing(page: chromium.Page, example: Path) -> None:
    """Invariant: the report is one file; opening it tells nobody anything."""
    page.open(example)
    assert page.requests == [example.as_uri()]
    assert page.complaints == []
    assert page.value("document.querySelectorAll('[src], link, iframe, object, embed, form').length") == 0
    assert page.value("document.querySelectorAll('[style], [onclick], [onload]').length") == 0


def test_its_policy_lets_no_other_script_style_or_request_in(page: chromium.Page, example: Path) -> None:
    """Invariant: were something slipped into the page after all, the browser would refuse to run or fetch it."""
    page.open(example)
    before = len(page.complaints)
    page.value("""(() => {
      const script = document.createElement("script"); script.textContent = "window.ran = true"; document.body.append(script);
      const image = document.createElement("img"); image.src = "https://example.com/x.png"; document.body.append(image);
      document.body.setAttribute("onclick", "window.ran = true"); document.body.click();
    })()""")
    assert page.value("window.ran === undefined")
    assert page.blocked == ["csp"]
    assert any("Content Security Policy" in one for one in page.complaints[before:])
    del page.complaints[before:]


def test_a_search_leaves_the_rows_that_have_every_word(page: chromium.Page, many: Path) -> None:
    page.open(many)
    everything = shown(page, "tbody tr")
    assert everything > 5 * SERVICES
    page.type("#search", "SERVICE-117 kv/")
    found = shown(page, "tbody tr")
    assert found == 2
    assert shown(page, "#secrets tbody tr") == 1
    assert page.value("document.getElementById('found').textContent").startswith(f"{found} of ")
    assert shown(page, "#secrets > .nothing") == 0
    page.type("#search", " nowhere")
    assert shown(page, "tbody tr") == 0
    assert shown(page, "#secrets > .nothing") == 1
    assert shown(page, "#access h3") == 0
    page.call("Input.dispatchKeyEvent", type="keyDown", key="Escape", code="Escape", windowsVirtualKeyCode=27)
    assert shown(page, "tbody tr") == everything


def test_a_slash_leads_the_keyboard_to_the_search(page: chromium.Page, example: Path) -> None:
    page.open(example)
    page.call("Input.dispatchKeyEvent", type="keyDown", key="/", text="/")
    assert page.value("document.activeElement.id") == "search"
    assert page.value("document.getElementById('search').value") == ""


def test_a_search_finds_a_service_by_the_column_that_marks_it(page: chromium.Page, example: Path) -> None:
    page.open(example)
    page.type("#search", "payments/stripe worker")
    texts = page.value(
        "[...document.querySelectorAll('.matrix tbody tr')].filter((one) => !one.hidden).map((one) => one.innerText)"
    )
    assert [text.split()[0] for text in texts] == ["payments-worker"]


def test_without_scripts_all_of_it_is_there(page: chromium.Page, many: Path) -> None:
    page.open(many)
    with_scripts = shown(page, "tbody tr")
    page.scripts(on=False)
    try:
        page.open(many)
        assert shown(page, "tbody tr") == with_scripts
        assert shown(page, "#search") == 0
    finally:
        page.scripts(on=True)


def test_it_prints_all_of_it_on_paper(page: chromium.Page, example: Path, tmp_path: Path) -> None:
    page.open(example)
    printed = page.pdf()
    assert printed.startswith(b"%PDF-")
    assert 4 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 12
    page.call("Emulation.setEmulatedMedia", media="print")
    try:
        assert page.value(
            "[...document.querySelectorAll('.scroll')].every((one) => one.scrollHeight <= one.clientHeight)"
        )
        assert shown(page, "nav, #search") == 0
    finally:
        page.call("Emulation.setEmulatedMedia", media="")
    if shutil.which("pdftotext"):
        (tmp_path / "a.pdf").write_bytes(printed)
        text = subprocess.run(
            ["pdftotext", tmp_path / "a.pdf", "-"], check=True, capture_output=True, text=True
        ).stdout
        assert "payments-worker" in text


@pytest.mark.parametrize("width", [360, 1500])
def test_the_page_itself_never_scrolls_sideways(page: chromium.Page, many: Path, width: int) -> None:
    page.open(many)
    page.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
    )
    try:
        assert page.value("document.documentElement.scrollWidth") <= width
    finally:
        page.call("Emulation.clearDeviceMetricsOverride")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_contrast_enough_to_be_read(page: chromium.Page, many: Path, scheme: str) -> None:
    """At least 4.5 to 1 (WCAG 2.2, 1.4.3)."""
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    try:
        page.open(many)
        assert page.value(CONTRASTS) >= 4.5
    finally:
        page.call("Emulation.setEmulatedMedia", features=[])


CONTRASTS = """(() => {
  const light = (colour) => {
    const parts = colour.match(/[0-9.]+/g).slice(0, 3).map((one) => one / 255);
    const [r, g, b] = parts.map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (one) => {
    const colour = getComputedStyle(one).backgroundColor;
    return colour === "rgba(0, 0, 0, 0)" && one.parentElement ? ground(one.parentElement) : colour;
  };
  const texts = [...document.querySelectorAll("main *, aside *")].filter((one) =>
    one.offsetHeight && [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
  return Math.min(...texts.map((one) => {
    const both = [light(getComputedStyle(one).color), light(ground(one))].sort((a, b) => b - a);
    return (both[0] + 0.05) / (both[1] + 0.05);
  }));
})()"""


def test_tables_tell_readers_by_ear_what_they_are(page: chromium.Page, many: Path) -> None:
    page.open(many)
    assert page.value(
        "[...document.querySelectorAll('table')].every((one) => one.caption && one.caption.textContent.trim())"
    )
    assert page.value("[...document.querySelectorAll('th')].every((one) => one.scope)")
    assert page.value("[...document.querySelectorAll('.scroll')].every((one) => one.tabIndex === 0)")
    assert page.value(
        "[...document.querySelectorAll('[aria-labelledby], [aria-describedby]')].every((one) => document.getElementById(one.getAttribute('aria-labelledby') || one.getAttribute('aria-describedby')))"
    )
    levels = page.value("[...document.querySelectorAll('h1, h2, h3')].map((one) => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.value("document.documentElement.lang") == "en"
    assert page.value(
        "[...document.querySelectorAll('a[href^=\"#\"]')].every((one) => document.querySelector(one.hash))"
    )
