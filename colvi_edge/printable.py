"""File names as text that can be printed, logged and stored."""


def printable_name(name: str) -> str:
    """Return a file name, or words that may hold one, fit for a message, a log or JSON.

    Control characters, unpaired surrogates and invisible characters are escaped: a name with a
    line break in it could forge a line of a log.
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in name
    )


def unambiguous_name(name: str) -> str:
    """Return a file name as `printable_name` does, but so that no other name is printed alike.

    For lists, in which a name says which row is whose. A backslash of the name itself is doubled, or a
    line feed and a backslash with an n would be one.
    """
    return "".join(r"\\" if c == "\\" else printable_name(c) for c in name)
