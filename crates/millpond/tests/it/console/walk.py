"""Walks through the console in a real Chromium, as a person does, and says what is wrong.

    walk.py URL KEY FOLDER [--no-scripts]

Prints one line per step; ends with 1 when a step fails, a page complains, anything asks another host, or axe finds a
violation. Screenshots of every page at two widths go to FOLDER.
"""

import re
import sys

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

url, key, folder = sys.argv[1:4]
scripts = "--no-scripts" not in sys.argv
wrong = []
SHOWN = {}


def look(page, name):
    """One page: its heading, what axe says, how it looks."""
    assert page.locator("h1").count() == 1, f"{name}: not one h1"
    assert page.title(), f"{name}: no title"
    if scripts:
        found = Axe().run(page).response["violations"]
        for violation in found:
            where = [node["html"][:120] for node in violation["nodes"][:3]]
            wrong.append(f"{name}: axe: {violation['id']}: {violation['help']}: {where}")
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.screenshot(path=f"{folder}/{name}-{width}.png", full_page=width == 1440)
        spill = page.evaluate("document.documentElement.scrollWidth - window.innerWidth") if scripts else 0
        if spill > 1:
            wrong.append(f"{name}: {spill} px wider than a window of {width}")
    page.set_viewport_size({"width": 1440, "height": 900})
    print(f"{name}: {page.locator('h1').inner_text()!r}")


def said(page, words):
    text = page.locator("main").inner_text()
    assert words in text, f"no {words!r} in {text[:600]!r}"


with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
    context = browser.new_context(java_script_enabled=scripts, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.on("console", lambda message: wrong.append(f"console: {message.text}") if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(f"script: {error}"))

    def asked(request):
        if not request.url.startswith((url, "data:")):
            wrong.append(f"asked another host: {request.url}")

    page.on("request", asked)

    page.goto(f"{url}/")
    if key:
        look(page, "login")
        page.fill("#key", "mp_wrong")
        page.click("main button")
        said(page, "No such key counts here")
        wrong[:] = [line for line in wrong if "401" not in line]
        page.fill("#key", key)
        page.click("main button")
    look(page, "overview")

    # The record of a given order, by SKU and customer: choose, fill, open.
    page.click("nav >> text=Records")
    page.select_option("#resource", "cin7.sale")
    page.click("text=Search")
    look(page, "facets")
    page.click(".facets a:has-text('OPEN')")
    assert page.locator("tbody tr").count() == 5, page.locator("tbody").inner_text()
    page.click(".facets a[aria-current]")
    assert page.locator("tbody tr").count() > 5, page.locator("tbody").inner_text()
    page.fill("#where", "Lines[].SKU=BOLT")
    page.click("text=Search")
    page.fill("#where", "Customer=Ann <b>")
    page.click("text=Search")
    look(page, "records")
    assert page.locator("tbody tr").count() == 1, page.locator("tbody").inner_text()
    page.click("tbody a")
    look(page, "record")
    said(page, "BOLT")
    said(page, "History")
    said(page, "OPEN")
    said(page, "DONE")
    assert page.locator("main img, main script, main b").count() == 0, "markup of a value came alive"
    if page.locator("text=Fetch again").count():
        page.click("text=Fetch again")
        look(page, "fetched")

    page.click("nav >> text=SQL")
    page.fill("#sql", "SELECT instance, count(*) FROM cin7.sale GROUP BY 1 ORDER BY 1")
    page.click("button:text-is('Run')")
    look(page, "sql")
    said(page, "pond-uk")
    assert page.locator("svg.chart rect").count() == 2, "no chart"
    page.fill("#sql", "DELETE FROM cin7.sale")
    page.click("button:text-is('Run')")
    said(page, "not allowed")
    page.click("text=where-is")
    page.fill("#p1", "BOLT")
    page.click("button:text-is('Run')")
    said(page, "0 rows")
    page.fill("#sql", "SELECT count(*) AS sales FROM cin7.sale")
    page.fill("#name", "how-many")
    page.click("button:text-is('Save')")
    said(page, "Saved.")
    look(page, "sql-saved")
    page.click("a:text-is('how-many')")
    page.click("button:text-is('Run')")
    said(page, "1 rows")
    page.click("button:text-is('Remove')")
    said(page, "how-many is removed")

    for name in ("Runs", "Calls", "Freshness", "Changes", "Events", "Cache", "Tenants", "Settings"):
        page.click(f"nav >> text={name}")
        look(page, name.lower())

    page.click("nav >> text=Orders")
    look(page, "orders")
    page.click("button:text-is('Plan')")
    look(page, "plan")
    said(page, "proposed")
    page.click("button:text-is('Approve')")
    said(page, "approved")

    page.click("nav >> text=Connections")
    look(page, "connections")
    page.click("button:text-is('Disable')")
    said(page, "It is used no more")
    page.click("button:text-is('Enable')")
    said(page, "It is used again")
    page.fill("input[name=share]", "40")
    page.click("button:text-is('Set %')")
    said(page, "40 %")

    page.click("nav >> text=Keys")
    look(page, "keys")
    page.fill("#title", "made by a walk")
    page.click("text=Make the key")
    said(page, "It is shown this once")
    made = page.locator(".credential").inner_text()
    assert made.startswith("mp"), made
    page.goto(f"{url}/console")
    if page.locator("#key").count():
        # The first key ended the time without keys.
        page.fill("#key", made)
        page.click("main button")
    page.goto(f"{url}/console/keys")
    page.click("tr:has-text('made by a walk') >> text=Revoke")
    page.goto(f"{url}/console/keys")
    if page.locator("#key").count() == 0:
        said(page, "revoked")

    # A form of another session changes nothing.
    token = page.locator("input[name=token]").first
    if token.count():
        page.goto(f"{url}/console/sql")
        page.evaluate("document.querySelector('input[name=token]').value = 'x'") if scripts else None
        if scripts:
            page.fill("#sql", "SELECT 1")
            page.click("button:text-is('Run')")
            said(page, "earlier session")
            wrong[:] = [line for line in wrong if "403" not in line]

    # By keyboard alone: the first stop leads past the navigation.
    page.goto(f"{url}/console/sql")
    if scripts:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
    browser.close()

for line in wrong:
    print("wrong:", line)
sys.exit(bool(wrong))
