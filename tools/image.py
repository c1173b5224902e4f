#!/usr/bin/env python3
"""Writes an image of the static binary and nothing else, as `docker load`, podman and skopeo read it.

image.py VERSION ARCHITECTURE BINARY AUTHORITIES CONFIGURATION FILE; the time in it is SOURCE_DATE_EPOCH.

It is not made by docker or buildah, since those write a container's random name into it: the same files are to be the
same bytes. What is in `conf/docker/Dockerfile` beside the build is in here, too; a test holds them together.
"""

import hashlib
import io
import json
import os
import sys
import tarfile
from datetime import datetime, timezone

EPOCH = int(os.environ["SOURCE_DATE_EPOCH"])
# Of distroless' nonroot, which the image from source has; volumes keep their owner.
USER = 65532
SECOND_NS = 1_000_000_000


def main(version, architecture, binary, authorities, configuration, file):
    passwd = f"pointsman:x:{USER}:{USER}::/var/lib/pointsman:/sbin/nologin\n".encode()
    layer = archive([
        ("etc/group", f"pointsman:x:{USER}:\n".encode(), 0o644, 0),
        ("etc/passwd", passwd, 0o644, 0),
        ("etc/pointsman/pointsman.toml", read(configuration), 0o644, 0),
        ("etc/ssl/certs/ca-certificates.crt", read(authorities), 0o644, 0),
        ("usr/local/bin/pointsman", read(binary), 0o755, 0),
        # A volume that is new takes its owner from here.
        ("var/lib/pointsman", None, 0o700, USER),
    ])
    layer_sum = hashlib.sha256(layer).hexdigest()
    config = encoded(described(version, architecture, layer_sum))
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [f"pointsman:{version}"], "Layers": [f"{layer_sum}.tar"]}]
    whole = archive([
        (f"{layer_sum}.tar", layer, 0o644, 0),
        (config_name, config, 0o644, 0),
        ("manifest.json", encoded(manifest), 0o644, 0),
    ])
    with open(file, "wb") as out:
        out.write(whole)


def described(version, architecture, layer_sum):
    created = datetime.fromtimestamp(EPOCH, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    binary = "/usr/local/bin/pointsman"
    return {
        "architecture": architecture,
        "os": "linux",
        "created": created,
        "config": {
            "User": f"{USER}:{USER}",
            "Env": ["PATH=/usr/local/bin"],
            "Entrypoint": [binary],
            "Cmd": ["run"],
            "WorkingDir": "/",
            "ExposedPorts": {"80/tcp": {}},
            "Volumes": {"/var/lib/pointsman": {}},
            "StopSignal": "SIGTERM",
            # Whether it lives, not whether it could serve: a restart of this container would not bring upstreams back.
            "Healthcheck": {
                "Test": ["CMD", binary, "healthcheck"],
                "Interval": 10 * SECOND_NS,
                "Timeout": 6 * SECOND_NS,
                "StartPeriod": 10 * SECOND_NS,
            },
            "Labels": {
                "org.opencontainers.image.title": "pointsman",
                "org.opencontainers.image.version": version,
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_sum}"]},
        "history": [{"created": created, "created_by": "tools/image.py"}],
    }


def archive(entries):
    """A tar of (path, content, mode, owner), with the folders above; no content is a folder."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        made = set()
        for path, content, mode, owner in entries:
            for depth in range(1, path.count("/") + 1):
                folder = "/".join(path.split("/")[:depth])
                if folder not in made:
                    made.add(folder)
                    tar.addfile(entry(folder, None, 0o755, 0))
            tar.addfile(entry(path, content, mode, owner), io.BytesIO(content or b""))
    return out.getvalue()


def entry(path, content, mode, owner):
    info = tarfile.TarInfo(path)
    info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
    info.size = len(content or b"")
    info.mode, info.mtime, info.uid, info.gid = mode, EPOCH, owner, owner
    return info


def encoded(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def read(file):
    with open(file, "rb") as opened:
        return opened.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
