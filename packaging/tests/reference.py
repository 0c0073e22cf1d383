# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Compares docs/user/programs.md, from which manuals and completions are made, with what the programs in the folder $1 say.

docs/user/commands.md and options.md are compared with the code by the tests of the programs.
"""

import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.dont_write_bytecode = True

from builder import crates, inside  # noqa: E402
from builder.kinds import ARCHES, KINDS  # noqa: E402
from builder.reference import pages  # noqa: E402

DOCS = Path(__file__).resolve().parents[2] / "docs" / "user"


def main(folder: Path) -> int:
    """Prints each difference; returns 1 if there is one."""
    programs = pages.read(DOCS)
    problems, compared = [], 0
    found = inside.find(folder, crates.metadata(ARCHES["x64"].rust_target))
    if (folder / inside.SHARED).is_file():
        listed = set(re.findall(r"(?m)^  (\S+)", _said(folder / inside.SHARED, "help")))
        shared = {name for name, file in found.items() if file == inside.SHARED}
        problems += [f"{name} is in {inside.SHARED} or in what it lists, but not in both" for name in sorted(listed ^ shared)]
    names = {name for kind in KINDS.values() for name in (*kind.required, *kind.optional)}
    for name in sorted(names & found.keys()):
        if name not in programs:
            problems.append(f"{name} has no section in programs.md")
            continue
        if name == "duplicati-cli":
            continue
        help_text = _said(folder / found[name], *([name] if found[name] != name else []), "--help")
        problems += [f"{name}: {problem}" for problem in _differences(programs[name], help_text)]
        compared += 1
    for problem in problems:
        print(problem)
    print(f"reference: {compared} passed, {len(problems)} failed")
    return 1 if problems or compared == 0 else 0


def _said(*command: Path | str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


def _differences(page: pages.Program, help_text: str) -> list[str]:
    found = []
    meanings = dict(re.findall(r"(?m)^  (--[a-z-]+): (.*)$", help_text))
    said = set(meanings or re.findall(r"(?<![\w-])--[a-z][a-z-]*", help_text)) - {"--help", "--version"}
    written = {name for option in page.options for name in option.names if name.startswith("--")} - {"--help"}
    found += [f"{name} is in the help and not on the page" for name in sorted(said - written)]
    # The help of this one names only the options that most people need.
    if page.name != "duplicati-server-util":
        found += [f"{name} is on the page and not in the help" for name in sorted(written - said)]
    for option in page.options:
        meaning = meanings.get(option.names[0])
        if meaning is not None and meaning != option.meaning:
            found.append(f"{option.names[0]} means {option.meaning!r} on the page and {meaning!r} in the help")
    for command in page.commands:
        if not re.search(rf"(?m)^  {re.escape(command.name)}\b", help_text):
            found.append(f"the command {command.name} is on the page and not in the help")
    if page.commands and page.name == "duplicati-server-util":
        listed = set(re.findall(r"(?m)^  ([a-z][a-z-]*)[^\n]*\n      \S", help_text))
        found += [f"the command {name} is in the help and not on the page" for name in sorted(listed - {command.name for command in page.commands})]
    return found


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
