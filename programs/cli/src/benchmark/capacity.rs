// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From measured runs to how many clients of a size and daily change rate fit into a window of time.

use super::MB;

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Bytes of the data that was backed up.
    pub data_bytes: u64,
    /// Seconds of a backup without a change.
    pub unchanged_seconds: f64,
    /// Seconds of a backup with changes.
    pub changed_seconds: f64,
    /// Bytes that had changed for it.
    pub changed_bytes: u64,
    /// Bytes that it stored.
    pub stored_bytes: u64,
    /// What single uploads reached, MB/s, if that was measured.
    pub link_megabytes_per_second: Option<f64>,
}

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Demand {
    /// Bytes of one client.
    pub client_bytes: u64,
    /// The share of them that changes in a day, percent.
    pub change_percent: f64,
    /// Time for all, seconds.
    pub window_seconds: f64,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Capacity {
    /// Seconds that this machine needs for the daily backup of one client.
    pub seconds_per_client: f64,
    /// Clients whose backups this machine does one after another within the window.
    pub clients_of_machine: u64,
    /// Clients, each with a machine of its own, whose uploads the target takes within the window.
    pub clients_of_target: Option<u64>,
}

/// Computes it: looking at everything costs by the size of a client, storing by what changed.
pub fn capacity(measured: &Measured, demand: &Demand) -> Capacity {
    let per_byte = measured.unchanged_seconds / measured.data_bytes.max(1) as f64;
    // Noise may make the smaller run the longer one.
    let more = (measured.changed_seconds - measured.unchanged_seconds).max(0.0);
    let per_changed_byte = more / measured.changed_bytes.max(1) as f64;
    let client = demand.client_bytes as f64;
    let changed = client * demand.change_percent / 100.0;
    let seconds_per_client = client * per_byte + changed * per_changed_byte;
    let stored_share = measured.stored_bytes as f64 / measured.changed_bytes.max(1) as f64;
    let stored = changed * stored_share;
    let clients_of_target = measured
        .link_megabytes_per_second
        .filter(|_| stored > 0.0)
        .map(|rate| whole(demand.window_seconds * rate * MB / stored));
    Capacity {
        seconds_per_client,
        clients_of_machine: whole(demand.window_seconds / seconds_per_client.max(f64::MIN_POSITIVE)),
        clients_of_target,
    }
}

fn whole(number: f64) -> u64 {
    if number.is_finite() && number > 0.0 {
        number.floor() as u64
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_follow_from_what_looking_and_storing_cost() {
        let measured = Measured {
            data_bytes: 1_000_000_000,
            unchanged_seconds: 1.0,
            changed_seconds: 3.0,
            changed_bytes: 100_000_000,
            stored_bytes: 50_000_000,
            link_megabytes_per_second: Some(100.0),
        };
        let demand = Demand {
            client_bytes: 100_000_000_000,
            change_percent: 1.0,
            window_seconds: 1_200.0,
        };
        // 100 s to look at 100 GB and 20 s to store 1 GB of changes.
        let found = capacity(&measured, &demand);
        assert!((found.seconds_per_client - 120.0).abs() < 1e-6);
        assert_eq!(found.clients_of_machine, 10);
        // 0.5 GB each over 120 GB that the link moves.
        assert_eq!(found.clients_of_target, Some(240));
        let nothing_changes = Demand {
            change_percent: 0.0,
            ..demand
        };
        assert_eq!(capacity(&measured, &nothing_changes).clients_of_target, None);
    }
}
