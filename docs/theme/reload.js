// Only on pages from `workshop book serve`: loads the page again once it has been built again.
"use strict";
new EventSource("/changes").onmessage = () => location.reload();
