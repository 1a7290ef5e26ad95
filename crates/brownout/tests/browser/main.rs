//! A real browser before the real program: what a person with a phone does and sees, with and
//! without JavaScript. Skips where chromium and chromedriver are not installed.

// That these tests are skipped is said on the output, where a run of all tests looks for it.
#![allow(clippy::print_stdout)]

mod driver;
mod server;

use driver::{Browser, Driver, PHONE_WIDTH};
use server::Server;

/// Proofs of work are never asked for.
const CALM: &str = "[intake]\nproof_of_work = \"off\"\n";
/// Proofs of work are always asked for.
const CAUTIOUS: &str = "[intake]\nproof_of_work = \"on\"\n";

/// From a service's page through the form to the page that thanks; that page's text.
fn report(browser: &Browser<'_>, server: &Server, slug: &str) -> String {
    browser.open(&format!("{}/s/{slug}", server.base));
    browser.click("main a.button");
    browser.wait_for("h1", |text| text.starts_with("What is wrong with"));
    browser.click("input[name=kind][value=login]");
    browser.click("summary");
    browser.fill("#comment", "It says: try again later. <b>آزمائش</b>");
    browser.click("form.report button");
    browser.wait_for("h1", |text| text == "Thank you");
    browser.text("main").expect("a page")
}

/// The line of a service's page that says how many reported.
const COUNT: &str = "#status .count";

#[test]
fn a_report_is_counted_and_open_pages_change_by_themselves() {
    let Some(driver) = Driver::start() else { return };
    let server = Server::start(CALM);
    let browser = driver.browser(true);
    browser.open(&format!("{}/s/github", server.base));
    browser.wait_for("#status", |text| text.contains("No report has come in yet."));
    // If the page were loaded again, this mark would be gone.
    browser.ask("window.loadedOnce = true");
    let reader = browser.tab();

    browser.new_tab();
    let thanks = report(&browser, &server, "github");
    assert!(thanks.contains("Your report on GitHub is kept."), "{thanks}");
    assert!(!thanks.contains("counts less"), "{thanks}");
    browser.click("main a.button");
    let count = browser.wait_for(COUNT, |text| text.starts_with("1 "));
    assert!(count.starts_with("1 report in the last 15 min"), "{count}");

    browser.turn_to(&reader);
    browser.wait_for(COUNT, |text| text.starts_with("1 "));
    assert_eq!(browser.ask("return window.loadedOnce === true"), true, "no reload");
}

#[test]
fn a_report_is_counted_without_javascript() {
    let Some(driver) = Driver::start() else { return };
    let server = Server::start(CALM);
    let browser = driver.browser(false);
    let thanks = report(&browser, &server, "github");
    assert!(thanks.contains("Your report on GitHub is kept.") && !thanks.contains("counts less"), "{thanks}");
    browser.click("main a.button");
    browser.wait_for("h1", |text| text == "GitHub");
    let count = wait_by_reloading(&browser, COUNT, "1 ");
    assert!(count.starts_with("1 report in the last 15 min"), "{count}");
}

/// Loads the page again until an element's text begins as wanted, as a reader without JavaScript does.
fn wait_by_reloading(browser: &Browser<'_>, css: &str, wanted: &str) -> String {
    for _ in 0..100 {
        match browser.text(css) {
            Ok(text) if text.starts_with(wanted) => return text,
            _ => std::thread::sleep(std::time::Duration::from_millis(200)),
        }
        browser.reload();
    }
    panic!("{} never showed {wanted:?}: {:?}", browser.url(), browser.text("main"));
}

#[test]
fn the_browser_solves_the_proof_of_work_and_counts_in_full() {
    let Some(driver) = Driver::start() else { return };
    let server = Server::start(CAUTIOUS);
    let browser = driver.browser(true);
    let thanks = report(&browser, &server, "github");
    assert!(thanks.contains("counts once, and again only after an hour without a report"), "{thanks}");
    assert!(browser.url().ends_with("/s/github/reported"), "{}", browser.url());
    assert_eq!(server.metric("brownout_intake_proofs_total"), 1, "the server checked the proof");
    assert_eq!(server.metric("brownout_intake_weight_lowered_total"), 0);
}

#[test]
fn without_javascript_a_report_is_taken_at_a_lower_weight_that_it_is_told() {
    let Some(driver) = Driver::start() else { return };
    let server = Server::start(CAUTIOUS);
    let browser = driver.browser(false);
    let thanks = report(&browser, &server, "github");
    assert!(thanks.contains("Your report on GitHub is kept.") && thanks.contains("counts less"), "{thanks}");
    assert!(browser.url().ends_with("/s/github/reported?weight=reduced"), "{}", browser.url());
    assert_eq!(server.metric("brownout_intake_proofs_total"), 0);
    assert_eq!(server.metric("brownout_intake_weight_lowered_total"), 1);
}

/// Words that do not stand out enough, as colours and text: every visible piece of text against what
/// is painted under it, by WCAG 2.2.
const FAINT: &str = r#"
  const parse = (text) => (text.match(/[\d.]+/g) || []).map(Number);
  const light = (c) => {
    const [r, g, b] = c.slice(0, 3).map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const under = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const c = parse(getComputedStyle(at).backgroundColor);
      if (c.length === 3 || c[3] > 0.5) return c;
    }
    return [255, 255, 255];
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), node = walker.currentNode.parentElement;
    // Words on a wave's number stand on a disc, not on the page.
    if (!text || !node.checkVisibility() || node.closest("script, text.wave")) continue;
    const style = getComputedStyle(node);
    const [a, b] = [light(parse(node.closest("svg text") ? style.fill : style.color)), light(under(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.push(ratio.toFixed(2) + " " + text.slice(0, 40));
  }
  return faint;
"#;

/// What reaches beyond the screen's right edge without a box of its own to scroll in.
const TOO_WIDE: &str = r#"
  const wide = [];
  if (document.documentElement.scrollWidth > innerWidth) wide.push("the page: " + document.documentElement.scrollWidth);
  for (const node of document.querySelectorAll("main *")) {
    if (node.closest(".scroll, svg, .hide") || !node.checkVisibility()) continue;
    if (node.getBoundingClientRect().right > innerWidth + 1) wide.push(node.outerHTML.slice(0, 80));
  }
  return wide;
"#;

/// The element that has the focus: whether it is seen, whether it comes after the last one, its name.
const FOCUS: &str = r#"
  const node = document.activeElement, last = window.lastFocus;
  window.lastFocus = node;
  if (!node || node === document.body) return null;
  const box = node.getBoundingClientRect(), style = getComputedStyle(node);
  return {
    seen: box.width > 1 && box.height > 1 && style.outlineStyle !== "none",
    // A part that has just been replaced by a newer one has no place to compare with.
    later: !last || !last.isConnected || (last.compareDocumentPosition(node) & 4) === 4,
    name: node.outerHTML.slice(0, 80),
  };
"#;

#[test]
fn every_page_fits_a_phone_stands_out_and_is_walked_by_keyboard() {
    let Some(driver) = Driver::start() else { return };
    let server = Server::demo();
    let browser = driver.browser(true);
    browser.open(&format!("{}/incidents", server.base));
    browser.wait_for("#incidents", |text| text.contains("Detected problems"));
    let incident = browser.ask("return document.querySelector('#incidents a.cover').href");
    let incident = incident.as_str().expect("an address").to_owned();
    let mut pages = vec![incident];
    for path in [
        "/",
        "/s/x",
        "/s/x?tz=America/Argentina/ComodRivadavia",
        "/s/x/report",
        "/s/x/reported?weight=reduced",
        "/c/US",
        "/incidents",
        "/about",
        "/report",
        "/live/",
        "/live/s/github",
        "/no/such/page",
    ] {
        pages.push(format!("{}{path}", server.base));
    }
    for page in &pages {
        browser.open(page);
        // What is folded away must fit as well.
        browser.ask("document.querySelectorAll('details').forEach((node) => { node.open = true; })");
        assert_eq!(browser.ask(TOO_WIDE), serde_json::json!([]), "{page} is wider than {PHONE_WIDTH} px");
        for scheme in ["light", "dark"] {
            browser.prefer(scheme);
            assert_eq!(browser.ask(FAINT), serde_json::json!([]), "{page}, {scheme}");
        }
        walk(&browser, page);
    }
}

/// Presses the tab key: each stop can be seen and comes later on the page than the last.
fn walk(browser: &Browser<'_>, page: &str) {
    browser.open(page);
    browser.press_tab();
    // A busy machine's browser may not have made a new page the one that keys go to yet.
    for _ in 0..5 {
        if browser.ask("return document.activeElement !== document.body") == true {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
        browser.press_tab();
    }
    let mut stops = 0;
    while stops < 20 {
        if stops > 0 {
            browser.press_tab();
        }
        let focus = browser.ask(FOCUS);
        let is_first = focus["name"].as_str().is_some_and(|name| name.contains("\"#main\""));
        if focus.is_null() || (is_first && stops > 0) {
            break;
        }
        assert!(is_first || stops > 0, "{page}: the first stop leads past what repeats: {focus}");
        assert!(focus["seen"] == true && focus["later"] == true, "{page}: {focus}");
        stops += 1;
    }
    assert!(stops > 5, "{page}: {stops} stops");
}
