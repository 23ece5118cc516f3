// What mdBook's own page leaves out for people who use a keyboard or a screen reader. The pages' content needs no script.
"use strict";

// The button of the contents is a <label>, which the Tab key passes by: a real button takes its place. The label stays,
// unseen, since mdBook's script keeps the state there.
(() => {
    const label = document.getElementById("mdbook-sidebar-toggle");
    const checkbox = document.getElementById("mdbook-sidebar-toggle-anchor");
    if (!label || !checkbox) return;
    const button = document.createElement("button");
    button.type = "button";
    button.id = "contents-toggle";
    button.className = label.className;
    button.title = label.title;
    button.setAttribute("aria-label", label.getAttribute("aria-label"));
    button.setAttribute("aria-controls", label.getAttribute("aria-controls"));
    button.append(...[...label.children].map(icon => icon.cloneNode(true)));
    const tell = () => button.setAttribute("aria-expanded", label.getAttribute("aria-expanded"));
    new MutationObserver(tell).observe(label, { attributeFilter: ["aria-expanded"] });
    tell();
    button.addEventListener("click", () => label.click());
    label.hidden = true;
    label.style.display = "none";
    label.before(button);
})();

// The bar at the top and the search are no landmarks; a search field wants a name, and a description that exists.
(() => {
    document.getElementById("mdbook-menu-bar")?.setAttribute("role", "banner");
    document.getElementById("mdbook-search-wrapper")?.setAttribute("role", "search");
    const search = document.getElementById("mdbook-searchbar");
    search?.setAttribute("aria-label", "Search this book");
    search?.setAttribute("aria-describedby", "mdbook-searchresults-header");
})();

// What is too wide for the screen scrolls by itself; the arrow keys reach it once it can have the focus. What is not too
// wide is no stop for the Tab key.
(() => {
    const wide = document.querySelectorAll(".timeline-scroll, .table-wrapper, main pre, main pre > code");
    const fit = element => {
        if (element.scrollWidth > element.clientWidth && element.clientWidth > 0) {
            element.tabIndex = 0;
            if (!element.hasAttribute("role") && element.tagName === "DIV") {
                element.setAttribute("role", "group");
                element.setAttribute("aria-label", "Table, scrolls sideways");
            }
        } else {
            element.removeAttribute("tabindex");
        }
    };
    const watch = new ResizeObserver(entries => entries.forEach(entry => fit(entry.target)));
    wide.forEach(element => watch.observe(element));
})();
