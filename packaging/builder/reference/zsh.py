# SPDX-License-Identifier: Apache-2.0 OR MIT
"""A completion for zsh."""

from .pages import Option, Program


def completion(program: Program) -> str:
    """The source of the completion, a file for `$fpath`."""
    lines = [
        f"#compdef {program.name}",
        "# SPDX-License-Identifier: Apache-2.0 OR MIT",
        f"# Completion of {program.name} for zsh. Made from the table of its options.",
        "local -a options commands",
        "options=(",
    ]
    for option in program.offered():
        lines += [f"    {_quoted(_spec(name, option))}" for name in option.names]
    lines.append(")")
    if program.commands:
        lines.append("commands=(")
        for command in program.commands:
            meaning = command.meaning.rstrip(".")
            lines += [f"    {_quoted(f'{name}:{meaning}')}" for name in (command.name, *command.aliases)]
        lines += [")", '_arguments "$options[@]" \'1:command:{_describe -t commands command commands}\' \'*:file:_files\'']
    else:
        lines.append('_arguments "$options[@]" \'*:file:_files\'')
    return "\n".join(lines) + "\n"


def _spec(name: str, option: Option) -> str:
    meaning = option.meaning.split(". ")[0].rstrip(".")
    for sign in ("\\", "[", "]", ":"):
        meaning = meaning.replace(sign, f"\\{sign}")
    if not name.startswith("--"):
        return f"{name}[{meaning}]"
    if option.is_switch:
        return f"*{name}=-[{meaning}]::yes or no:(true false)"
    action = "_files" if option.is_path else f"({' '.join(option.choices)})" if option.choices else " "
    return f"*{name}=[{meaning}]:value:{action}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
