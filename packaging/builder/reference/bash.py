# SPDX-License-Identifier: Apache-2.0 OR MIT
"""A completion for bash. It needs nothing but bash, for `bash-completion` may be absent."""

from .pages import Program


def completion(program: Program) -> str:
    """The source of the completion."""
    function = "_" + program.name.replace("-", "_")
    options = program.offered()
    words = [f"{name}{'' if option.is_switch or not name.startswith('--') else '='}" for option in options for name in option.names]
    commands = [name for command in program.commands for name in (command.name, *command.aliases)]
    lines = [
        f"# SPDX-License-Identifier: Apache-2.0 OR MIT",
        f"# Completion of {program.name} for bash. Made from the table of its options.",
        f"{function}() {{",
        "    local current=${COMP_WORDS[COMP_CWORD]} option= index word command= found=0",
        "    COMPREPLY=()",
        "    # bash cuts words at '='.",
        "    if [[ $current == = ]]; then",
        "        option=${COMP_WORDS[COMP_CWORD - 1]} current=",
        "    elif ((COMP_CWORD >= 2)) && [[ ${COMP_WORDS[COMP_CWORD - 1]} == = ]]; then",
        "        option=${COMP_WORDS[COMP_CWORD - 2]}",
        "    fi",
        "    if [[ $option == -* ]]; then",
        "        case $option in",
    ]
    paths = [name for option in options if option.is_path for name in option.names]
    if paths:
        lines += [f"            {'|'.join(paths)})", "                compopt -o filenames", '                mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;']
    groups: dict[tuple[str, ...], list[str]] = {}
    for option in options:
        values = ("true", "false") if option.is_switch else option.choices
        if values:
            groups.setdefault(values, []).extend(name for name in option.names if name.startswith("--"))
    for values, names in groups.items():
        lines += [f"            {'|'.join(names)})", f'                mapfile -t COMPREPLY < <(compgen -W "{" ".join(values)}" -- "$current") ;;']
    lines += ["            *) ;;", "        esac", "        return", "    fi"]
    lines += [
        "    if [[ $current == -* ]]; then",
        f'        mapfile -t COMPREPLY < <(compgen -W "{" ".join(words)}" -- "$current")',
        '        if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then compopt -o nospace; fi',
        "        return",
        "    fi",
    ]
    if commands:
        lines += [
            "    for ((index = 1; index < COMP_CWORD; index++)); do",
            "        word=${COMP_WORDS[index]}",
            "        if [[ $word != -* && $word != = && ${COMP_WORDS[index - 1]} != = ]]; then",
            "            command=$word found=1",
            "            break",
            "        fi",
            "    done",
            "    if ((!found)); then",
            f'        mapfile -t COMPREPLY < <(compgen -W "{" ".join(commands)}" -- "$current")',
            "        return",
            "    fi",
        ]
        if "help" in commands:
            topics = commands + [name.removeprefix("--") for option in options for name in option.names]
            lines += [
                "    if [[ $command == help ]]; then",
                f'        mapfile -t COMPREPLY < <(compgen -W "{" ".join(topics)}" -- "$current")',
                "        return",
                "    fi",
            ]
    lines += [
        "    compopt -o filenames",
        '    mapfile -t COMPREPLY < <(compgen -f -- "$current")',
        "}",
        f"complete -F {function} {program.name}",
    ]
    return "\n".join(lines) + "\n"
