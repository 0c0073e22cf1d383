# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Makes the packages; `packaging/build` is the command."""
