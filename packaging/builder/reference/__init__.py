# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Manual pages and completions, made from the pages in docs/user, which tests compare with the programs."""
