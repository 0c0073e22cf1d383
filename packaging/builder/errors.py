# SPDX-License-Identifier: Apache-2.0 OR MIT
"""What stops a build; the message says what to do about it."""


class BuildError(Exception):
    """Something that whoever calls the command has to put right."""
