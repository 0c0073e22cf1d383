// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Include and exclude rules.
