# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Makes a container in Azurite: PORT ACCOUNT KEY CONTAINER. The programs themselves never make one."""

import base64
import email.utils
import hashlib
import hmac
import sys
import urllib.request

port, account, key, container = sys.argv[1:]
path = f"/{account}/{container}"
headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
canonical_headers = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
# Of the standard headers none is sent with a value.
to_sign = "PUT" + "\n" * 12 + f"{canonical_headers}/{account}{path}\nrestype:container"
signature = hmac.new(base64.b64decode(key), to_sign.encode(), hashlib.sha256).digest()
headers["Authorization"] = f"SharedKey {account}:{base64.b64encode(signature).decode()}"
headers["Content-Length"] = "0"
url = f"http://127.0.0.1:{port}{path}?restype=container"
urllib.request.urlopen(urllib.request.Request(url, method="PUT", headers=headers)).read()
