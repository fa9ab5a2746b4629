"""`make bench`: speed and memory of the parts, as ratios within one run. Prints Markdown, so that it can be kept.

Figures of two machines, or of two days, can't be compared; the ratios can.
"""

import argparse
import importlib
import os
import platform

PARTS = ("agent", "webhook", "hostile", "overload", "generate", "review", "apply")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="make bench",
        description="Measure the agent against bao agent, the webhook under load, hostile reviews and overload, and how the generator, the questions, plan and apply grow.",
        epilog="example: python -m bench webhook",
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all, when none is named")
    chosen = parser.parse_args().parts or PARTS
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    print(
        f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}, {platform.system()}"
    )
    for part in chosen:
        print(f"\n## {part}\n", flush=True)
        importlib.import_module(f"bench.{part}").run()


if __name__ == "__main__":
    main()
