"""Uses the page of `agentcore dev` in a real browser, as a developer would, and says what it saw."""

import json
import sys
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright


def member(number: int, content: bytes) -> bytes:
    """A member of a message in protobuf, of fewer than 128 bytes."""
    return bytes([number << 3 | 2, len(content)]) + content


def exported(name: str, key: str, value: str) -> bytes:
    """What OpenTelemetry exports for a span that lasted no time."""
    now = time.time_ns().to_bytes(8, "little")
    attribute = member(1, key.encode()) + member(2, member(1, value.encode()))
    times = bytes([7 << 3 | 1]) + now + bytes([8 << 3 | 1]) + now
    span = member(1, b"t" * 16) + member(2, b"s" * 8) + member(5, name.encode()) + times + member(9, attribute)
    return member(1, member(2, member(2, span)))


def chat(page: Page, pictures: Path) -> dict[str, object]:
    """Two prompts in one session, one in another, and what the panels tell of them."""
    page.fill("#prompt", "I like strong tea")
    page.press("#prompt", "Enter")
    unfinished = page.locator(".said.agent.open", has_text="Hello!")
    unfinished.wait_for()
    page.screenshot(path=pictures / "streaming.png")
    page.locator(".said.agent:not(.open)").wait_for()
    first = page.inner_text(".said.agent")
    page.fill("#prompt", "What did I say?")
    page.click("#send")
    page.locator(".said.agent:not(.open)").nth(1).wait_for()
    page.request.post(
        f"{page.url}_dev/otlp/v1/traces",
        headers={"Content-Type": "application/x-protobuf"},
        data=exported("weigh anchor", "chains", "two"),
    )
    page.locator("#trace .span.own", has_text="weigh anchor").click()
    page.locator("#trace dl", has_text="chains").wait_for()
    spans = page.locator("#trace .span").all_inner_texts()
    page.screenshot(path=pictures / "trace.png")
    page.click("[data-tab=events]")
    events = page.locator("#events .row").all_inner_texts()
    page.screenshot(path=pictures / "events.png")
    page.click("[data-tab=output]")
    output = page.inner_text("#output")
    page.click("#new")
    page.fill("#prompt", "<img src=x onerror=alert(1)>")
    page.press("#prompt", "Enter")
    page.locator(".said.agent:not(.open)", has_text="onerror").wait_for()
    return {
        "first": first,
        "spans": spans,
        "events": events,
        "output": output,
        "sessions": page.locator("#sessions li").count(),
        "images": page.locator("#messages img").count(),
    }


def card(page: Page, pictures: Path) -> dict[str, object]:
    """The card, and an answer."""
    page.click("[data-tab=card]")
    page.locator("#card pre", has_text="signalman").wait_for()
    page.fill("#prompt", "all hands")
    page.press("#prompt", "Enter")
    page.locator(".said.agent", has_text="ALL HANDS").wait_for()
    page.screenshot(path=pictures / "card.png")
    return {"card": page.inner_text("#card")}


def tools(page: Page, pictures: Path) -> dict[str, object]:
    """The tools, and what one of them answers."""
    page.locator(".tool").first.wait_for()
    names = page.locator(".tool h2").all_inner_texts()
    tool = page.locator(".tool", has=page.locator("h2", has_text="remember"))
    tool.locator("input").fill("the harbour")
    tool.locator("button").click()
    recall = page.locator(".tool", has=page.locator("h2", has_text="recall"))
    tool.locator("pre", has_not_text="…").wait_for()
    recall.locator("button").click()
    recall.locator("pre", has_text="the harbour").wait_for()
    page.screenshot(path=pictures / "tools.png")
    return {"tools": sorted(names)}


def main() -> None:
    what, url, browser, pictures = sys.argv[1:]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1400, "height": 800})
        page.set_default_timeout(60_000)
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url)
        page.locator(".pill.ready").wait_for()
        seen = {"chat": chat, "card": card, "tools": tools}[what](page, Path(pictures))
        elsewhere = [address for address in asked if not address.startswith((url, "data:"))]
        print(json.dumps(seen | {"complaints": complaints, "elsewhere": elsewhere}))
        chromium.close()


main()
