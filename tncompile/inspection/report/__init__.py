"""The report: one page of HTML with the network, its contraction, its costs, its source, its bonds.

A page is made of sections, each a function from what it shows to `Html`; `page` puts them together
with one style sheet and one script, and names the script's digest in the page's security policy.
"""
