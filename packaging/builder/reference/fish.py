# SPDX-License-Identifier: Apache-2.0 OR MIT
"""A completion for fish."""

from .pages import Program


def completion(program: Program) -> str:
    """The source of the completion."""
    start = f"complete -c {program.name}"
    lines = [
        "# SPDX-License-Identifier: Apache-2.0 OR MIT",
        f"# Completion of {program.name} for fish. Made from the table of its options.",
    ]
    for command in program.commands:
        for name in (command.name, *command.aliases):
            lines.append(f"{start} -n __fish_use_subcommand -f -a {_quoted(name)} -d {_quoted(command.meaning.rstrip('.'))}")
    for option in program.offered():
        for name in option.names:
            flag = f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
            value = "" if option.is_switch else " -r -F" if option.is_path else " -x"
            if option.choices:
                value += f" -a {_quoted(' '.join(option.choices))}"
            lines.append(f"{start} {flag}{value} -d {_quoted(option.meaning.split('. ')[0].rstrip('.'))}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
