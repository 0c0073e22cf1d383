# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Whole backups and restores over SFTP with 0, 20 and 80 ms added, beside restic, and rclone copy as what the line gives.

    cargo build --release -p duplicati-cli -p duplicati-benches
    sudo python3 benches/targets/sftp.py FOLDER [--delays 0,20,80] [--rate 125000000] [--only ours,restic,rclone]

Needs root (for a server of its own), OpenSSH, restic and rclone. FOLDER is what is backed up; /dev/shm holds the rest. rclone
copies the files of our own repository, so it carries the same bytes in the same pieces.
"""

import argparse
import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CLI = os.environ.get("DUPLICATI_CLI", str(ROOT / "target/release/duplicati-cli"))
LINE = os.environ.get("FAR_LINE", str(ROOT / "target/release/far_line"))
PASSPHRASE = "correct horse battery staple"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port):
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"nobody listens on port {port}")


def start_server(place):
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / name], check=True)
    shutil.copy(place / "user.pub", place / "authorized_keys")
    port = free_port()
    (place / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {place}/host\nPidFile none\nAuthorizedKeysFile {place}/authorized_keys\n"
        "StrictModes no\nUsePAM no\nPermitRootLogin yes\nSubsystem sftp internal-sftp\nMaxStartups 100\n"
    )
    os.makedirs("/run/sshd", exist_ok=True)
    server = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", place / "config", "-E", place / "log"])
    wait_for(port)
    return server, port


def run(command, env, accepted=(0,)):
    """Wall seconds and CPU seconds of the client alone (its own children included)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.monotonic()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    wall = time.monotonic() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in accepted:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class Ours:
    def __init__(self, place, port, source, delay):
        self.url = f"ssh://root@127.0.0.1:{port}{place}/ours-{delay}"
        self.place, self.source = place, source
        self.env = {"PATH": os.environ["PATH"], "HOME": str(place / "home-ours"), "PASSPHRASE": PASSPHRASE}
        self.options = [f"--ssh-keyfile={place}/user", "--ssh-accept-any-fingerprints"]

    def backup(self):
        return run([CLI, "backup", self.url, self.source, *self.options], self.env)

    def again(self):
        return run([CLI, "backup", self.url, self.source, *self.options], self.env, (0, 1))

    def restore(self, to):
        return run([CLI, "restore", self.url, f"--restore-path={to}", *self.options], self.env, (0, 2))


class Restic:
    def __init__(self, place, port, source, delay):
        command = f"ssh -p {port} -i {place}/user -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null root@127.0.0.1 -s sftp"
        self.call = ["restic", "-q", "-o", f"sftp.command={command}", "-r", f"sftp:root@127.0.0.1:{place}/restic-{delay}"]
        self.source = source
        self.env = {"PATH": os.environ["PATH"], "HOME": str(place / "home-restic"), "RESTIC_PASSWORD": PASSPHRASE}
        run([*self.call, "init"], self.env)

    def backup(self):
        return run([*self.call, "backup", self.source], self.env)

    again = backup

    def restore(self, to):
        return run([*self.call, "restore", "latest", "--target", to], self.env)


class Rclone:
    """Only carries: our repository's files up and down again."""

    def __init__(self, place, port, source, delay):
        remote = f":sftp,host=127.0.0.1,port={port},user=root,key_file={place}/user:{place}/rclone-{delay}"
        self.up = ["rclone", "copy", "--transfers", "4", "--checkers", "8", str(place / f"ours-{delay}"), remote]
        self.down = ["rclone", "copy", "--transfers", "4", "--checkers", "8", remote]
        self.env = {"PATH": os.environ["PATH"], "HOME": str(place / "home-rclone")}

    def backup(self):
        return run(self.up, self.env)

    again = backup

    def restore(self, to):
        return run([*self.down, to], self.env)


def size_of(folder):
    return sum(entry.stat().st_size for entry in Path(folder).rglob("*") if entry.is_file() and not entry.is_symlink())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("--delays", default="0,20,80")
    parser.add_argument("--rate", default="125000000", help="bytes per second each way; 0 is no limit")
    parser.add_argument("--only", default="ours,restic,rclone")
    options = parser.parse_args()
    source_bytes = size_of(options.source)
    print(f"source {options.source}: {source_bytes / 1e6:.0f} MB")
    print("| ms | program | backup s | CPU s | MB/s | again s | restore s | CPU s | MB/s | stored MB |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    peers = {"ours": Ours, "restic": Restic, "rclone": Rclone}
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        place = Path(folder)
        server, server_port = start_server(place)
        try:
            for delay in options.delays.split(","):
                port = free_port()
                line = subprocess.Popen([LINE, str(port), str(server_port), delay, options.rate])
                wait_for(port)
                for name in options.only.split(","):
                    peer = peers[name](place, port, options.source, delay)
                    backup = peer.backup()
                    again = peer.again()
                    restored = place / "restored"
                    restore = peer.restore(str(restored))
                    shutil.rmtree(restored)
                    stored = size_of(place / f"{name}-{delay}")
                    carried = stored if name == "rclone" else source_bytes
                    print(
                        f"| {delay} | {name} | {backup[0]:.2f} | {backup[1]:.2f} | {carried / backup[0] / 1e6:.0f} | {again[0]:.2f} "
                        f"| {restore[0]:.2f} | {restore[1]:.2f} | {carried / restore[0] / 1e6:.0f} | {stored / 1e6:.0f} |",
                        flush=True,
                    )
                for name in options.only.split(","):
                    shutil.rmtree(place / f"{name}-{delay}", ignore_errors=True)
                line.terminate()
                line.wait()
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()


main()
