"""Slimming takes what no reader sees, and nothing else."""

from __future__ import annotations

import re

from digest.compose.slim import slim

PAGE = """<style type="text/css">
/* a note */
.used { color : #112233 ; }
.gone { color: #112233; }
.used .gone, .used p:hover { margin : 0 0 4px }
a { text-decoration: none; }
@media (max-width: 480px) { .gone { width: 1px } }
@media (prefers-color-scheme: dark) {
  .used, .gone { color: #ffffff !important; }
}
@font-face { font-family: X; src: url(x) }
</style>
<!--[if mso]><style>.mso-only { color: red; }</style><![endif]-->
<p class="used first">text { not a rule }</p>"""


def test_rules_without_an_element_go() -> None:
    """Also single selectors of a list, and media queries that are left empty."""
    style = re.findall(r"<style[^>]*>(.*?)</style>", slim(PAGE), re.DOTALL)[0]
    assert style == (
        ".used{color:#112233}.used p:hover{margin:0 0 4px}a{text-decoration:none}"
        "@media (prefers-color-scheme:dark){.used{color:#ffffff !important}}"
        "@font-face{font-family:X;src:url(x)}"
    )


def test_outlooks_own_and_the_text_stay() -> None:
    """Conditional comments and the words of the page are not touched."""
    assert slim(PAGE).split("</style>", 1)[1] == PAGE.split("</style>", 1)[1]


def test_an_emptied_sheet_goes() -> None:
    """A style element without a rule is none."""
    assert slim("<head><style>.gone { color: red }</style></head>") == "<head></head>"
