// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Stores around a store. Each adds one behaviour and passes everything else through unchanged.
