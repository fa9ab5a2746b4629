"""Everything that ends the agent: one exception type with an exit code, a name, what happened and what to do."""

EXIT_CODES = {
    "config": 10,
    "token": 11,
    "login": 12,
    "refused": 13,
    "unreachable": 14,
    "answer": 15,
    "render": 16,
    "volume": 17,
    "clock": 18,
    "expiring": 19,
    "bug": 70,
}
MAX_LINE_BYTES = 4096  # what the kubelet keeps of a termination message


class AgentError(Exception):
    """`name` is a key of EXIT_CODES. Neither `what` nor `remedy` ever holds a secret, a token or a key."""

    def __init__(self, name: str, what: str, remedy: str) -> None:
        super().__init__(what)
        self.name = name
        self.what = what
        self.remedy = remedy

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.name]

    @property
    def line(self) -> str:
        return one_line(f"{self.name}: {self.what}; {self.remedy}")


def one_line(text: str) -> str:
    """White space runs become one space, other unprintable characters `?`; at most 4096 bytes of UTF-8."""
    printable = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return printable.encode(errors="replace")[: MAX_LINE_BYTES - 1].decode(errors="ignore")
