# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Where each file of a package lies, in each format."""

from dataclasses import dataclass
from pathlib import Path

from . import source
from .errors import BuildError
from .kinds import Arch, Kind
from .reference import bash, fish, manual, zsh
from .reference.pages import Program
from .source import ROOT, Source
from .tree import Tree, gzipped


@dataclass(frozen=True)
class Material:
    """What the package is made of: files by name, and for each program the file that it is in."""

    kind: Kind
    arch: Arch
    origin: Source
    files: dict[str, bytes]
    programs: dict[str, str]
    pages: dict[str, Program]
    third_party: str
    maintainer: str

    def page(self, name: str) -> Program:
        """What the manual says; a program that it does not know cannot be shipped."""
        if name not in self.pages:
            raise BuildError(f"{name} is described neither in docs/user/commands.md nor in docs/user/programs.md; a program is shipped with its manual")
        return self.pages[name]


def installed(material: Material, form: str) -> Tree:
    """The files of a .deb or an .rpm."""
    kind, package = material.kind, material.kind.package
    tree = Tree()
    _add_programs(tree, f"/usr/lib/{package}", material)
    for name in material.programs:
        tree.link(f"/usr/bin/{name}", f"../lib/{package}/{name}")
    tree.file(f"/usr/lib/{package}/package_type_id.txt", _type_id(material, form))
    for script in _lvm_scripts():
        tree.file(f"/usr/lib/{package}/lvm-scripts/{script.name}", script.read_bytes(), 0o755)

    defaults = "/etc/default" if form == "deb" else "/etc/sysconfig"
    tree.file(f"{defaults}/{kind.unit}", source.text("defaults").replace("@UNIT@", kind.unit), is_config=True)
    tree.file(f"/usr/lib/systemd/system/{kind.unit}.service", source.text(f"{kind.unit}.service"))
    tree.file(f"/usr/lib/systemd/system-generators/{kind.unit}-groups", source.text("duplicati-groups"), 0o755)

    zsh_folder = "vendor-completions" if form == "deb" else "site-functions"
    for name, (page, for_bash, for_zsh, for_fish) in _reference(material).items():
        tree.file(f"/usr/share/man/man1/{name}.1.gz", gzipped(page))
        tree.file(f"/usr/share/bash-completion/completions/{name}", for_bash)
        tree.file(f"/usr/share/zsh/{zsh_folder}/_{name}", for_zsh)
        tree.file(f"/usr/share/fish/vendor_completions.d/{name}.fish", for_fish)

    doc = f"/usr/share/doc/{package}"
    tree.file(f"{doc}/third-party.txt.gz", gzipped(material.third_party))
    if kind.unit == "duplicati":
        tree.file(f"{doc}/examples/unprivileged.conf", source.text("unprivileged.conf"))
        tree.file(f"{doc}/examples/duplicati.rules.yml", (ROOT / "packaging/monitoring/duplicati.rules.yml").read_bytes())
        tree.file(f"{doc}/examples/duplicati-dashboard.json", (ROOT / "packaging/monitoring/duplicati-dashboard.json").read_bytes())
    if form == "deb":
        tree.file(f"{doc}/copyright", _copyright(material.origin.when.year))
        tree.file(f"{doc}/changelog.gz", gzipped(_changelog(material)))
    else:
        for licence in ("LICENSE-APACHE", "LICENSE-MIT"):
            tree.file(f"/usr/share/licenses/{package}/{licence}", (ROOT / licence).read_bytes())
    if kind.has_desktop:
        _add_desktop(tree)
    return tree


def portable(material: Material) -> Tree:
    """The files of a .zip; programs find `lvm-scripts` and `package_type_id.txt` beside themselves."""
    tree = Tree()
    _add_programs(tree, "", material)
    tree.file("/package_type_id.txt", _type_id(material, "zip"))
    for script in _lvm_scripts():
        tree.file(f"/lvm-scripts/{script.name}", script.read_bytes(), 0o755)
    for name, (page, for_bash, for_zsh, for_fish) in _reference(material).items():
        tree.file(f"/man/man1/{name}.1", page)
        tree.file(f"/completions/bash/{name}", for_bash)
        tree.file(f"/completions/zsh/_{name}", for_zsh)
        tree.file(f"/completions/fish/{name}.fish", for_fish)
    tree.file(f"/systemd/{material.kind.unit}.service", source.text(f"{material.kind.unit}.service"))
    tree.file(f"/systemd/{material.kind.unit}-groups", source.text("duplicati-groups"), 0o755)
    tree.file("/install.md", (ROOT / "docs/user/install.md").read_bytes())
    for licence in ("LICENSE-APACHE", "LICENSE-MIT"):
        tree.file(f"/{licence}", (ROOT / licence).read_bytes())
    tree.file("/third-party.txt", material.third_party)
    return tree


def _add_programs(tree: Tree, folder: str, material: Material) -> None:
    """The files, and beside them a relative link for each program that shares one; they can be moved together."""
    for name, data in material.files.items():
        tree.file(f"{folder}/{name}", data, 0o755)
    for name, file in material.programs.items():
        if name != file:
            tree.link(f"{folder}/{name}", file)


def _type_id(material: Material, form: str) -> str:
    return f"linux-{material.arch.file_name}-{material.kind.name}.{form}"


def _lvm_scripts() -> list[Path]:
    return sorted((ROOT / "packaging/lvm-scripts").glob("*.sh"))


def _reference(material: Material) -> dict[str, tuple[str, str, str, str]]:
    names = list(material.programs)
    found = {}
    for name in names:
        program = material.page(name)
        page = manual.page(program, names, material.origin)
        found[name] = (page, bash.completion(program), zsh.completion(program), fish.completion(program))
    return found


def _copyright(year: int) -> str:
    mit = (ROOT / "LICENSE-MIT").read_text().strip()
    indented = "\n".join(f" {line}" if line.strip() else " ." for line in mit.splitlines())
    return "\n".join(
        [
            "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/",
            "Comment: The crates inside the programs and their licences are listed in",
            " third-party.txt.gz beside this file.",
            "",
            "Files: *",
            f"Copyright: {year} the authors of this project",
            "License: Apache-2.0 or MIT",
            "",
            "License: Apache-2.0",
            " On Debian systems the text of this licence is in",
            " /usr/share/common-licenses/Apache-2.0.",
            "",
            "License: MIT",
            indented,
            "",
        ]
    )


def _changelog(material: Material) -> str:
    origin = material.origin
    return (
        f"{material.kind.package} ({origin.version}) unstable; urgency=medium\n\n"
        f"  * Built from commit {origin.commit[:12]}.\n\n"
        f" -- {material.maintainer}  {origin.when:%a, %d %b %Y %H:%M:%S} +0000\n"
    )


def _add_desktop(tree: Tree) -> None:
    tree.file("/usr/share/applications/duplicati.desktop", source.text("desktop/duplicati.desktop"))
    tree.file("/usr/share/icons/hicolor/scalable/apps/duplicati.svg", source.text("desktop/duplicati.svg"))
