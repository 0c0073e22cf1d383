# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The list of everything inside a package, as CycloneDX 1.5 JSON."""

import hashlib
import json
import uuid

from .crates import Graph
from .kinds import Arch, Kind
from .source import Source


def write(graph: Graph, kind: Kind, arch: Arch, origin: Source, files: dict[str, bytes], programs: dict[str, str]) -> bytes:
    """The same input gives the same bytes: the serial number is made from the content."""
    own = f"{kind.package}-{kind.name}@{origin.version}"
    identities = {crate.identity: crate.purl for crate in graph.crates}
    components = [
        {
            "type": "application",
            "bom-ref": f"program:{name}",
            "name": name,
            "version": origin.version,
            "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(data).hexdigest()}],
            "properties": [{"name": "program", "value": program} for program, file in sorted(programs.items()) if file == name],
        }
        for name, data in sorted(files.items())
    ]
    for crate in graph.crates:
        component: dict = {"type": "library", "bom-ref": crate.purl, "name": crate.name, "version": crate.version, "purl": crate.purl}
        if crate.checksum:
            component["hashes"] = [{"alg": "SHA-256", "content": crate.checksum}]
        if crate.licence:
            component["licenses"] = [{"expression": crate.licence}]
        components.append(component)

    depends = [{"ref": own, "dependsOn": sorted(identities[root] for root in graph.roots)}]
    for crate in graph.crates:
        depends.append({"ref": crate.purl, "dependsOn": sorted({identities[used] for used in crate.uses if used in identities})})

    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": f"{origin.when:%Y-%m-%dT%H:%M:%SZ}",
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": f"{kind.package} ({kind.name})",
                "version": origin.version,
                "licenses": [{"expression": "Apache-2.0 OR MIT"}],
                "properties": [
                    {"name": "commit", "value": origin.commit},
                    {"name": "target", "value": arch.rust_target},
                ],
            },
        },
        "components": components,
        "dependencies": depends,
    }
    content = json.dumps(document, indent=1, sort_keys=True)
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}"
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()
