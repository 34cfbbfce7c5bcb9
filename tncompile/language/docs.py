"""What a block says of itself: a sentence, then paragraphs, some of them drawings."""

from __future__ import annotations


def summary(doc: str | None) -> str:
    r"""The first line; nothing where there is no doc.

    >>> summary("\nA tensor train.\n\nOseledets, 2011.\n")
    'A tensor train.'
    """
    return (doc or "").strip().partition("\n")[0].rstrip()


def paragraphs(doc: str | None) -> list[list[str]]:
    r"""The lines of each paragraph, without blanks at their ends and without tabs.

    >>> paragraphs("A map.\n\n    A--B\n    |\n")
    [['A map.'], ['    A--B', '    |']]
    """
    text = (doc or "").strip().replace("\r\n", "\n").expandtabs()
    return [[line.rstrip() for line in part.split("\n")] for part in text.split("\n\n") if text]


def is_verbatim(paragraph: list[str]) -> bool:
    """Whether lines of a paragraph are indented: a drawing or a table, which is never refilled.

    >>> is_verbatim(["    A--B", "    |"]), is_verbatim(["A map of", "two tensors."])
    (True, False)
    """
    return any(line[:1].isspace() for line in paragraph)
