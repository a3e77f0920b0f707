"""A person opens TensorBoard on a run and finds the charts: real Chromium, a real `tensorboard`.

    CUSTOM_LAYERS_BROWSER=required     fail, and do not skip, where Chromium or its driver is missing
    CUSTOM_LAYERS_SCREENSHOT=a.png     save what is on the screen, as the README shows it:

    CUSTOM_LAYERS_SCREENSHOT=tensorboard_logs/example/tensorboard.png \
        python -m pytest -q -m slow tests/debugging/test_tensorboard_in_a_browser.py
"""

import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("the inspector writes TensorFlow summaries", allow_module_level=True)

import custom_layers
from custom_layers.debugging import GradientInspector
from custom_layers.debugging.tables import read_log

DEADLINE = (
    90  # seconds, for each thing that is waited for; a busy machine needs a good part of them
)
SHOWN = ("all_weights/gradient_norm", "gru/h/heat_map", "gru/h/vanishing_ratio", "loss/probe")

# The page's parts lie in shadow roots, which no selector and no page source looks into.
TEXT_OF_PAGE = """
function textOf(node) {
  if (node.nodeType === Node.TEXT_NODE) return node.nodeValue + ' ';
  if (['STYLE', 'SCRIPT', 'NOSCRIPT'].includes(node.tagName)) return '';
  return [node.shadowRoot, ...node.childNodes].filter(Boolean).map(textOf).join('');
}
return textOf(document.body).replace(/\\s+/g, ' ');
"""
SIZES_OF_IMAGES = """
function imagesIn(node) {
  const inside = [node.shadowRoot, ...node.childNodes].filter(Boolean).flatMap(imagesIn);
  return node.tagName === 'IMG' ? [[node.naturalWidth, node.naturalHeight], ...inside] : inside;
}
return imagesIn(document.body);
"""


def absent(what):
    """Skip on a user's machine, fail where a browser was promised."""
    say = pytest.fail if os.environ.get("CUSTOM_LAYERS_BROWSER") == "required" else pytest.skip
    say(f"{what} is not installed: apt-get install chromium chromium-driver; pip install selenium")


@contextmanager
def chromium():
    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    for name, path in programs.items():
        if path is None:
            absent(name)
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
    except ImportError:
        absent("selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = programs["chromium"]
    for flag in (
        *("headless", "no-sandbox", "disable-gpu", "disable-quic", "disable-dev-shm-usage"),
        *("no-first-run", "disable-background-networking", "disable-component-update"),
        *("disable-sync", "window-size=1240,1160"),
    ):
        options.add_argument(f"--{flag}")
    browser = webdriver.Chrome(options=options, service=Service(programs["chromedriver"]))
    browser.set_page_load_timeout(DEADLINE)
    try:
        yield browser
    finally:
        browser.quit()


@contextmanager
def tensorboard(log_dir, output):
    """The address of a server of these logs."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(log_dir)]
    command += ["--host", "127.0.0.1", "--port", "0", "--reload_interval", "1"]
    with output.open("w") as file:
        server = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    try:
        found = until(lambda: re.search(r"at (http://\S+)", output.read_text()), output.read_text)
        yield found.group(1)
    finally:
        server.terminate()
        server.wait(timeout=20)


def until(question, explain):
    """Ask until the answer is true; then hand it over."""
    end = time.monotonic() + DEADLINE
    while not (answer := question()):
        if time.monotonic() > end:
            pytest.fail(f"nothing after {DEADLINE} s. There is: {explain()[-3000:]}")
        time.sleep(0.3)
    return answer


def train(folder):
    """What a sequence begins with is to be told at its end: the gradient has 24 steps to go back."""
    rng = np.random.default_rng(1)
    x = rng.integers(1, 12, (640, 24))
    y = x[:, 0] % 2
    for name, layers in {"builtin": keras.layers, "custom": custom_layers}.items():
        keras.utils.clear_session()
        keras.utils.set_random_seed(3)
        model = keras.Sequential(
            [
                keras.Input((24,)),
                layers.Embedding(12, 12, name="words"),
                layers.GRU(24, name="gru"),
                layers.Dense(1, name="dense"),
            ]
        )
        loss = keras.losses.BinaryCrossentropy(from_logits=True, name="cross_entropy")
        model.compile(keras.optimizers.Adam(1e-2, global_clipnorm=1.0), loss)
        inspector = GradientInspector(folder / name, (x[:64], y[:64]), every=10)
        model.fit(x, y, batch_size=64, epochs=16, verbose=0, callbacks=[inspector])


@pytest.mark.slow
def test_a_person_finds_the_charts(tmp_path):
    with chromium() as browser:
        train(tmp_path / "logs")
        with tensorboard(tmp_path / "logs", tmp_path / "output") as address:
            look_around(browser, address, tmp_path / "logs")


def look_around(browser, address, logs):
    def text():
        return browser.execute_script(TEXT_OF_PAGE)

    def opened(place, *expected):
        """Go there, and wait until the page says all that is expected."""
        browser.get("about:blank")  # a new fragment alone would load nothing
        browser.get(address + place)
        until(lambda: all(re.search(each, text()) for each in expected), text)
        return text()

    # every chart that is asked for, with the last value of each run in it
    wanted = "%7C".join(f"^{tag}$" for tag in SHOWN)
    cards = [tag.rpartition("/") for tag in SHOWN]
    titles = [rf"{re.escape(layer)} /{measure}" for layer, _, measure in cards]
    opened(f"?tagFilter={wanted}&smoothing=0#timeseries", "4 cards", *titles, "builtin", "custom")
    last = {
        run: read_log(logs / run).scalars.groupby("tag")["value"].last()
        for run in ("builtin", "custom")
    }
    norm, ratio = "all_weights/gradient_norm", "gru/h/vanishing_ratio"
    np.testing.assert_allclose(last["builtin"][norm], last["custom"][norm], rtol=0.05)
    until(lambda: shown(text(), norm, "builtin") and shown(text(), ratio, "custom"), text)
    for run in last:
        np.testing.assert_allclose(shown(text(), norm, run), last[run][norm], rtol=1e-3)
    np.testing.assert_allclose(shown(text(), ratio, "custom"), last["custom"][ratio], rtol=1e-3)
    assert shown(text(), ratio, "builtin") is None  # Keras's layers do not show their states
    take_screenshot(browser, lambda: [600, 360] in browser.execute_script(SIZES_OF_IMAGES))

    opened("#images", "gru/h/heat_map")
    until(lambda: [600, 360] in browser.execute_script(SIZES_OF_IMAGES), text)
    opened("#histograms", "words", "gru", "dense")
    pages = ("whole model", "vanishing ratio", "gradient norm of the weights", "share of saturated")
    opened("#custom_scalars", *pages, "gru/gru_cell", "what clipping leaves")
    opened("#graphs", "input_1", "words", "gru", "dense")
    settings = opened("#hparams", "layers from", "custom_layers", "cross_entropy", "Adam")
    assert re.search(r"Dense, Embedding, GRU keras cross_entropy Adam", settings)


def shown(text, tag, run):
    """The number beside a run in the table below a chart; None while there is none."""
    layer, _, measure = tag.rpartition("/")
    card = text.partition(f"{layer} /{measure}")[2].partition("Zoom")[2]
    found = re.search(rf"Relative (?:[a-z]+ [\d.e-]+ \d+ \S+ \w+ )*?{run} ([\d.e-]+) ", card)
    before_next = card.partition(" /")[0]
    return float(found.group(1)) if found and found.group(0) in before_next else None


def take_screenshot(browser, is_complete):
    """Of the charts alone, without the pane of settings."""
    from selenium.webdriver.common.by import By

    path = os.environ.get("CUSTOM_LAYERS_SCREENSHOT")
    if path:
        until(is_complete, lambda: browser.execute_script(TEXT_OF_PAGE))
        browser.find_element(By.XPATH, "//button[contains(., 'Settings')]").click()
        time.sleep(2)  # the charts are drawn anew in their new width
        assert browser.save_screenshot(path)
