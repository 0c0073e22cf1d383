# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Which programs make which type of package, and what each format calls a processor."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A type of package. It is built when all required programs exist; the others come along when they do."""

    name: str
    package: str
    unit: str
    summary: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    starts_on_install: bool = False
    has_desktop: bool = False


_TOOLS_REQUIRED = (
    "duplicati-cli",
    "duplicati-server",
    "duplicati-server-util",
    "duplicati-configure",
    "duplicati-backend-tester",
    "duplicati-backend-tool",
    "duplicati-sync-tool",
)
_TOOLS_OPTIONAL = (
    "duplicati-service",
    "duplicati-recovery-tool",
    "duplicati-database-tool",
    "duplicati-secret-tool",
    "duplicati-source-tool",
    "duplicati-snapshots",
    "duplicati-aescrypt",
    "duplicati-autoupdater",
    "duplicati-autotune-tool",
)

KINDS = {
    kind.name: kind
    for kind in (
        Kind("cli", "duplicati", "duplicati", "backup server and command line", _TOOLS_REQUIRED, _TOOLS_OPTIONAL),
        Kind(
            "gui",
            "duplicati",
            "duplicati",
            "backup with tray icon, server and command line",
            ("duplicati", *_TOOLS_REQUIRED),
            _TOOLS_OPTIONAL,
            has_desktop=True,
        ),
        Kind(
            "agent",
            "duplicati-agent",
            "duplicati-agent",
            "backup agent that a console controls",
            ("duplicati-agent", "duplicati-cli"),
            ("duplicati-service",),
            starts_on_install=True,
        ),
    )
}


@dataclass(frozen=True)
class Arch:
    """A processor: in file names, in each format, in Rust, and in the head of an ELF file."""

    name: str
    file_name: str
    deb: str
    rpm: str
    rust_target: str
    elf_machine: int
    elf_bits: int
    loader: str


ARCHES = {
    arch.name: arch
    for arch in (
        Arch("x64", "x64", "amd64", "x86_64", "x86_64-unknown-linux-gnu", 62, 64, "ld-linux-x86-64.so.2"),
        Arch("arm64", "arm64", "arm64", "aarch64", "aarch64-unknown-linux-gnu", 183, 64, "ld-linux-aarch64.so.1"),
        Arch("armv7", "arm7", "armhf", "armv7hl", "armv7-unknown-linux-gnueabihf", 40, 32, "ld-linux-armhf.so.3"),
    )
}
