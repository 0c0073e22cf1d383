# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Reads programs, commands and options from the tables in docs/user."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import BuildError


@dataclass(frozen=True)
class Option:
    """One row of a table of options. `note` says why it does not do all that it does in Duplicati."""

    names: tuple[str, ...]
    value: str
    default: str
    note: str
    meaning: str
    section: str

    @property
    def is_switch(self) -> bool:
        """Stands without a value."""
        return self.value == "yes or no"

    @property
    def is_path(self) -> bool:
        """Its value is a file or a folder."""
        return self.value.startswith("path")

    @property
    def choices(self) -> tuple[str, ...]:
        """The values that it may have, if they are few."""
        named = re.match(r"(?:one|any) of ([^…]*?)(, separated by commas)?$", self.value)
        return tuple(named.group(1).split(", ")) if named else ()

    @property
    def is_offered(self) -> bool:
        """Worth completing: it has an effect and its name is whole."""
        return not self.note.startswith(("no effect", "deprecated")) and "(no effect:" not in self.meaning and "(not supported:" not in self.meaning


@dataclass(frozen=True)
class Command:
    """One row of a table of commands."""

    name: str
    aliases: tuple[str, ...]
    usage: str
    meaning: str
    section: str


@dataclass
class Program:
    """All that a manual page says."""

    name: str
    summary: str
    usage: str
    text: list[str] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    options: list[Option] = field(default_factory=list)
    codes: list[tuple[str, str]] = field(default_factory=list)
    borrowed: list[Option] = field(default_factory=list)

    def offered(self) -> list[Option]:
        """Options for completions, with those of the destination where the program takes them."""
        found, seen = [], set()
        for option in [*self.options, *self.borrowed]:
            names = tuple(name for name in option.names if "*" not in name and name not in seen)
            if option.is_offered and names:
                seen.update(names)
                found.append(Option(names, option.value, option.default, option.note, option.meaning, option.section))
        return found


def read(folder: Path) -> dict[str, Program]:
    """All programs by name."""
    cli = Program(
        "duplicati-cli",
        "stores, restores and looks after backups",
        "duplicati-cli <command> <URL> [arguments…] [--option=value …]",
    )
    cli.text = [
        "Carries out one command on a repository and ends; no server is needed. A destination is a URL such as "
        "`file:///backup/laptop`, or just a folder. `duplicati-cli help` lists all commands; `help` with a command, a topic or an option explains it."
    ]
    for section, row in _rows(folder / "commands.md"):
        cli.commands.append(_command(section, row))
    for section, row in _rows(folder / "options.md"):
        if len(row) == 5:
            cli.options.append(Option(_names(row[0]), row[1], _plain(row[2]), row[3], row[4], section))
    cli.codes = [(row[0], row[1]) for section, row in _rows(folder / "cli.md") if section == "Exit codes"]
    if not (cli.commands and cli.options and cli.codes):
        raise BuildError(f"{folder} has no tables of commands, options and exit codes")
    programs = {cli.name: cli}
    for program in _others(folder / "programs.md"):
        if any("options of the destination" in text for text in program.text):
            program.borrowed = [option for option in cli.options if option.section in ("Destinations", "Transfer")]
        programs[program.name] = program
    return programs


def _others(page: Path) -> list[Program]:
    found: list[Program] = []
    for part in re.split(r"(?m)^## ", page.read_text())[1:]:
        name, _, body = part.partition("\n")
        usage = re.search(r"(?s)```text\n(.*?)```", body)
        if usage is None:
            raise BuildError(f"{page}: {name} has no usage")
        prose = [line for line in re.sub(r"(?s)```.*?```", "", body).splitlines() if line and not line.startswith("|")]
        summary, *text = prose
        program = Program(name, _first_sentence(summary), usage.group(1).strip(), [summary, *text])
        for header, row in _tables(body.splitlines()):
            if header[0] == "Command":
                program.commands.append(_command("", row))
            elif header[0] == "Option":
                program.options.append(Option(_names(row[0]), row[1], "", "works", row[2], ""))
            elif header[0] == "Code":
                program.codes.append((row[0], row[1]))
        found.append(program)
    return found


def _first_sentence(text: str) -> str:
    sentence = text.split(". ")[0].rstrip(".")
    return sentence[0].lower() + sentence[1:]


def _command(section: str, row: list[str]) -> Command:
    usage = _plain(row[0])
    return Command(usage.split()[0], _names(row[1]), usage, row[2], section)


def _names(cell: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]+)`", cell))


def _plain(cell: str) -> str:
    return cell.replace("`", "").replace("\\|", "|")


def _rows(page: Path) -> list[tuple[str, list[str]]]:
    section, rows, lines = "", [], []
    for line in [*page.read_text().splitlines(), "## "]:
        if line.startswith("## "):
            rows += [(section, row) for _header, row in _tables(lines)]
            section, lines = line[3:].strip(), []
        lines.append(line)
    return rows


def _tables(lines: list[str]) -> list[tuple[list[str], list[str]]]:
    header: list[str] | None = None
    found = []
    for line in lines:
        if not line.startswith("|"):
            header = None
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if header is None:
            header = cells
        elif not set(cells[0]) <= {"-", ":"}:
            if len(cells) != len(header):
                raise BuildError(f"a row has {len(cells)} cells in place of {len(header)}: {line}")
            found.append((header, cells))
    return found
