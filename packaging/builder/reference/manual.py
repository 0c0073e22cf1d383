# SPDX-License-Identifier: Apache-2.0 OR MIT
"""A manual page in man(7) of a program."""

import re

from .pages import Option, Program
from ..source import Source

_FILES = [
    ("~/.config/Duplicati", "The data folder: settings, `dbconfig.json` and local databases. DUPLICATI_HOME and XDG_CONFIG_HOME change it, and `--server-datafolder`."),
]
_SERVER_FILES = [("/etc/default/duplicati", "Options and groups of the service; `/etc/sysconfig/duplicati` on systems with RPM packages.")]
_ENVIRONMENT = {
    "duplicati-cli": [
        ("PASSPHRASE", "The passphrase of the repository, when `--passphrase` is absent."),
        ("AUTH_USERNAME, AUTH_PASSWORD", "Name and password at the destination, when the options are absent."),
    ],
    "duplicati-backend-tool": [("AUTH_USERNAME, AUTH_PASSWORD", "Name and password at the destination, when the options are absent.")],
    "duplicati-backend-tester": [("AUTH_USERNAME, AUTH_PASSWORD", "Name and password at the destination, when the options are absent.")],
    "duplicati-server": [("SETTINGS_ENCRYPTION_KEY", "The key for secrets in the server database.")],
    "duplicati-configure": [("SETTINGS_ENCRYPTION_KEY", "The key for secrets in the server database.")],
    "duplicati-server-util": [("SETTINGS_ENCRYPTION_KEY", "The key for secrets in the server database.")],
}


def page(program: Program, others: list[str], origin: Source) -> str:
    """The source of the page."""
    lines = [
        f'.TH {_word(program.name.upper())} 1 {origin.when:%Y-%m-%d} "Duplicati {origin.version}" "Duplicati"',
        ".SH NAME",
        f"{_word(program.name)} \\- {_text(program.summary)}",
        ".SH SYNOPSIS",
        f".B {_word(program.name)}",
        _text(program.usage.removeprefix(program.name).strip()),
        ".SH DESCRIPTION",
    ]
    for number, paragraph in enumerate(program.text):
        lines += [*([".PP"] if number else []), _text(paragraph)]
    if program.commands:
        lines.append(".SH COMMANDS")
        section = ""
        for command in program.commands:
            if command.section != section:
                section = command.section
                lines.append(f'.SS "{_text(section)}"')
            also = f" Also: {', '.join(command.aliases)}." if command.aliases else ""
            lines += [".TP", f"\\fB{_word(command.name)}\\fR{_text(command.usage[len(command.name):], inside=True)}", _text(command.meaning + also)]
    if program.options:
        lines.append(".SH OPTIONS")
        section = ""
        for option in program.options:
            if option.section != section:
                section = option.section
                lines.append(f'.SS "{_text(section)}"')
            lines += [".TP", _head(option), _text(option.meaning), *_after(option)]
    if program.codes:
        lines.append('.SH "EXIT STATUS"')
        for code, meaning in program.codes:
            lines += [".TP", f".B {_text(code)}", _text(meaning)]
    if program.name in _ENVIRONMENT:
        lines.append(".SH ENVIRONMENT")
        for name, meaning in _ENVIRONMENT[program.name]:
            lines += [".TP", f".B {_text(name)}", _text(meaning)]
    lines.append(".SH FILES")
    for name, meaning in [*_FILES, *(_SERVER_FILES if program.name == "duplicati-server" else [])]:
        lines += [".TP", f".I {_text(name)}", _text(meaning)]
    lines += ['.SH "SEE ALSO"', ",\n".join(f".BR {_word(name)} (1)" for name in sorted(others) if name != program.name).replace("\n", "\n")]
    return _see_also_fixed("\n".join(lines)) + "\n"


def _see_also_fixed(text: str) -> str:
    return re.sub(r"(?m)^(\.BR \S+) \(1\),$", r"\1 (1),", text)


def _head(option: Option) -> str:
    value = "" if option.is_switch else f"=\\fI{_text(_short_value(option.value), inside=True)}\\fR"
    return ", ".join(f"\\fB{_word(name)}\\fR{value if name.startswith('--') else ''}" for name in option.names)


def _short_value(value: str) -> str:
    for start, short in (("secret", "text"), ("whole number", "number"), ("size", "size"), ("paths", "paths"), ("list", "list"), ("one of", "value"), ("any of", "values")):
        if value.startswith(start):
            return short
    return value


def _after(option: Option) -> list[str]:
    facts = []
    if not option.is_switch and _short_value(option.value) != option.value and not option.value.startswith("secret"):
        facts.append(f"The value is a {option.value}." if option.value.startswith(("whole", "size", "list")) else f"The value is {option.value}.")
    if option.default:
        facts.append(f"Default: {option.default}.")
    if option.note.startswith(("no effect", "works as", "deprecated")):
        facts.append(f"{option.note[0].upper()}{option.note[1:]}.")
    return [_text(" ".join(facts))] if facts else []


def _word(text: str) -> str:
    return text.replace("\\", "\\\\").replace("-", "\\-")


def _text(text: str, inside: bool = False) -> str:
    """Prose: links become their text, code becomes bold, and no line begins with a request."""
    text = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text).replace("\\|", "|")
    text = text.replace("\\", "\\\\").replace("…", "\\|.\\|.\\|.")
    text = re.sub(r"--?(?=[a-z])", lambda found: found.group().replace("-", "\\-"), text)
    text = re.sub(r"`([^`]+)`", r"\\fB\1\\fR", text)
    if not inside:
        text = text.strip()
        if text.startswith((".", "'")):
            text = "\\&" + text
    return text
