# SPDX-License-Identifier: Apache-2.0 OR MIT
"""A second kind of SFTP server for the tests, on asyncssh: sftp_server.py PORT FOLDER [bare]

It answers requests out of order. With `bare` it offers no extension at all, as old appliances do.
"""

import asyncio
import sys

import asyncssh
from asyncssh import sftp

USER, PASSWORD = "backup-test", "hunter2"


class Login(asyncssh.SSHServer):
    def begin_auth(self, username):
        return True

    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        return (username, password) == (USER, PASSWORD)


async def main():
    port, folder = int(sys.argv[1]), sys.argv[2]
    if "bare" in sys.argv:
        sftp.SFTPServerHandler._extensions = []
        # What is not offered is not understood either.
        handlers = sftp.SFTPServerHandler._packet_handlers
        for name in [name for name in handlers if isinstance(name, bytes)]:
            del handlers[name]
    key = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    key.write_public_key(folder + "/../host_key.pub")
    await asyncssh.create_server(
        Login, "127.0.0.1", port, server_host_keys=[key], sftp_factory=True, allow_scp=False
    )
    await asyncio.Event().wait()


asyncio.run(main())
