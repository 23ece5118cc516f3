// Called by .ci/browser. Prints every fault with its page, and fails if there is one.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { createRequire } from "node:module";
import { pathToFileURL, fileURLToPath } from "node:url";

const require = createRequire(path.join(process.env.MODULES, "from.js"));
const puppeteer = await import(pathToFileURL(require.resolve("puppeteer-core"))).then(module => module.default);
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const THEMES = ["light", "rust", "coal", "navy", "ayu"];
const WIDTHS = [1280, 390];
const book = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../docs/book");

let shots = null;
const only = [];
const args = process.argv.slice(2);
while (args.length) {
    const arg = args.shift();
    if (arg === "--screenshots") fs.mkdirSync(shots = path.resolve(args.shift()), { recursive: true });
    else only.push(arg);
}

// toc.html is no page: it is the contents inside the frame that is shown without scripts.
const pages = fs.readdirSync(book, { recursive: true })
    .filter(name => name.endsWith(".html") && path.basename(name) !== "toc.html")
    .filter(name => !only.length || only.includes(name))
    .sort();
if (!pages.length) throw new Error(`no pages in ${book}`);
const url = name => pathToFileURL(path.join(book, name)).href;

const faults = new Set();
const fault = (where, what) => {
    const line = `${where}: ${what}`;
    if (!faults.has(line)) console.error(line);
    faults.add(line);
};

const profiles = [];

/** A browser with a profile of its own: nothing of an earlier run, and nothing of the user's. */
async function start() {
    const profile = fs.mkdtempSync(path.join(os.tmpdir(), "book-"));
    const browser = await puppeteer.launch({
        executablePath: process.env.CHROMIUM,
        userDataDir: profile,
        args: [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
        ],
    });
    profiles.push([browser, profile]);
    return browser;
}

async function open(browser, width, scripts = true) {
    const page = await browser.newPage();
    page.name = "";
    await page.setViewport({ width, height: 900 });
    await page.setJavaScriptEnabled(scripts);
    // The print page opens the printer's dialogue.
    await page.evaluateOnNewDocument("window.print = () => {}");
    page.on("console", message => {
        if (["error", "warn"].includes(message.type())) fault(page.name, `console: ${message.text()}`);
    });
    page.on("pageerror", error => fault(page.name, `script: ${error.message}`));
    page.on("requestfailed", request => fault(page.name, `not loaded: ${request.url()}`));
    page.on("request", request => {
        if (!/^(file|data|blob):/.test(request.url())) fault(page.name, `asks the network: ${request.url()}`);
    });
    return page;
}

async function go(page, name) {
    page.name = name;
    await page.goto(url(name), { waitUntil: "load" });
}

/** Every rule of axe; or, on a page of which only the theme has changed, those on colour. */
async function accessible(page, where, colourOnly = false) {
    // Preloading would fetch the style sheets, which a page opened as a file may not do.
    const options = { resultTypes: ["violations"], preload: false };
    if (colourOnly) options.runOnly = ["color-contrast", "link-in-text-block"];
    const { violations } = await page.evaluate(options => window.axe.run(document, options), options);
    for (const { id, impact, help, nodes } of violations) {
        const some = nodes.slice(0, 3).map(node => node.html.slice(0, 160)).join("\n        ");
        fault(where, `axe ${id} (${impact}): ${help}, ${nodes.length} times\n        ${some}`);
    }
}

/** What stands out to the right of the screen without a region of its own to scroll in. */
const overflowing = () => {
    const scrolls = element => {
        // Up to the page itself, which would scroll as a whole.
        for (let up = element.parentElement; up && up.tagName !== "MAIN"; up = up.parentElement) {
            if (["auto", "scroll"].includes(getComputedStyle(up).overflowX)) return true;
        }
        return false;
    };
    return [...document.querySelectorAll("main *, #mdbook-menu-bar *")]
        .filter(element => element.getBoundingClientRect().right > innerWidth + 1 && !scrolls(element))
        .map(element => element.outerHTML.slice(0, 120));
};

const anchors = new Map();
const links = [];
const drawings = new Map();

async function look(page, name, width) {
    await go(page, name);
    await page.addStyleTag({ content: "* { transition: none !important; animation: none !important }" });
    await page.evaluate(axe);
    // Closed details hide faults.
    await page.evaluate(() => document.querySelectorAll("main details").forEach(details => { details.open = true; }));
    for (const theme of THEMES) {
        await page.evaluate(theme => document.getElementById(`mdbook-theme-${theme}`).click(), theme);
        await page.evaluate(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))));
        await accessible(page, `${name}, ${theme}, ${width} px`, theme !== THEMES[0]);
        if (shots) {
            const file = `${name.replace(/[/\\]/g, "-").replace(".html", "")}-${theme}-${width}.png`;
            await page.screenshot({ path: path.join(shots, file), fullPage: true });
        }
    }
    for (const html of await page.evaluate(overflowing)) fault(`${name}, ${width} px`, `wider than the screen: ${html}`);
    const { ids, hrefs, svgs } = await page.evaluate(() => ({
        ids: [...document.querySelectorAll("[id]")].map(element => element.id),
        hrefs: [...document.querySelectorAll("main a[href], nav a[href]")].map(link => link.href),
        svgs: document.querySelectorAll("main figure.timeline svg").length,
    }));
    if (width === WIDTHS[0]) {
        const twice = ids.filter((id, n) => ids.indexOf(id) !== n);
        if (twice.length) fault(name, `the same id twice: ${[...new Set(twice)].join(", ")}`);
        anchors.set(url(name), new Set(ids));
        links.push(...hrefs.map(href => [name, href]));
        drawings.set(name, svgs);
    }
}

async function withoutScripts(page, name) {
    await go(page, name);
    const { words, svgs, hidden } = await page.evaluate(() => ({
        words: document.querySelector("main").innerText.split(/\s+/).length,
        svgs: document.querySelectorAll("main figure.timeline svg").length,
        hidden: [...document.querySelectorAll("main figure svg")].filter(svg => !svg.getBoundingClientRect().width).length,
    }));
    if (words < 3) fault(name, "is empty without scripts");
    if (svgs !== drawings.get(name)) fault(name, `${svgs} timelines without scripts, ${drawings.get(name)} with them`);
    if (hidden) fault(name, `${hidden} timelines are not shown without scripts`);
}

async function byKeyboard(page, name) {
    await go(page, name);
    await page.evaluate(axe);
    const focused = () => page.evaluate(() => document.activeElement?.id ?? "");
    const tabTo = async id => {
        for (let n = 0; n < 60; n++) {
            if (await focused() === id) return true;
            await page.keyboard.press("Tab");
        }
        fault(name, `the Tab key does not reach #${id}`);
        return false;
    };
    const attribute = (id, of) => page.evaluate((id, of) => document.getElementById(id).getAttribute(of), id, of);
    if (await tabTo("contents-toggle")) {
        const before = await attribute("contents-toggle", "aria-expanded");
        for (const key of ["Enter", "Space"]) {
            const now = await attribute("contents-toggle", "aria-expanded");
            await page.keyboard.press(key);
            await new Promise(done => setTimeout(done, 400));
            if (await attribute("contents-toggle", "aria-expanded") === now) fault(name, `${key} does not move the contents`);
            await accessible(page, `${name}, contents toggled`);
        }
        if (await attribute("contents-toggle", "aria-expanded") !== before) fault(name, "the contents did not come back");
    }
    if (await tabTo("mdbook-theme-toggle")) {
        await page.keyboard.press("Enter");
        await accessible(page, `${name}, theme menu open`);
        await page.keyboard.press("Escape");
    }
    if (await tabTo("mdbook-search-toggle")) {
        await page.keyboard.press("Enter");
        if (await focused() !== "mdbook-searchbar") fault(name, "the search field does not get the focus");
        await page.keyboard.type("timeline");
        const found = await page.waitForSelector("#mdbook-searchresults li a", { timeout: 5000 }).catch(() => null);
        if (!found) fault(name, "the search finds nothing");
        for (const theme of THEMES) {
            await page.evaluate(theme => document.getElementById(`mdbook-theme-${theme}`).click(), theme);
            await accessible(page, `${name}, search open, ${theme}`);
        }
    }
}

const begun = Date.now();
try {
    // Two browsers, since the machines of continuous integration have two cores, and a tab in the background draws nothing.
    const queue = [...pages];
    await Promise.all([1, 2].map(async () => {
        const browser = await start();
        for (let name = queue.shift(); name; name = queue.shift()) {
            for (const width of WIDTHS) {
                const page = await open(browser, width);
                await look(page, name, width);
                await page.close();
            }
        }
    }));
    const [[browser]] = profiles;
    const plain = await open(browser, 390, false);
    for (const name of pages) await withoutScripts(plain, name);
    await plain.close();
    for (const width of WIDTHS) {
        const page = await open(browser, width);
        await byKeyboard(page, pages.includes("timelines.html") ? "timelines.html" : pages[0]);
        await page.close();
    }
    for (const [name, href] of links) {
        if (!href.startsWith("file:")) continue;
        const [target, anchor] = href.split("#");
        if (!fs.existsSync(fileURLToPath(target))) fault(name, `leads nowhere: ${href}`);
        else if (anchor && anchors.has(target) && !anchors.get(target).has(decodeURIComponent(anchor))) {
            fault(name, `leads to no such place: ${href}`);
        }
    }
} finally {
    for (const [browser, profile] of profiles) {
        await browser.close();
        fs.rmSync(profile, { recursive: true, force: true });
    }
}
const seconds = Math.round((Date.now() - begun) / 1000);
console.log(`${pages.length} pages, ${THEMES.length} themes, ${WIDTHS.join(" and ")} px, ${seconds} s: ${faults.size} faults`);
process.exit(faults.size ? 1 : 0);
