// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Finding a port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use duplicati_programs_common::{UserError, error_id::ids};
use tokio::net::TcpListener;

/// The port of a server that was given none.
const DEFAULT_PORT: u16 = 8200;

/// The address that an option or a setting names.
pub fn address(interface: &str) -> Result<IpAddr, UserError> {
    match interface.trim().to_ascii_lowercase().as_str() {
        "" | "loopback" | "localhost" => Ok(Ipv4Addr::LOCALHOST.into()),
        "any" | "*" | "all" => Ok(Ipv6Addr::UNSPECIFIED.into()),
        text => text.parse().map_err(|_| {
            UserError::invalid_command_line(
                ids::INVALID_OPTION_VALUE,
                format!("--webservice-interface: {text:?} is neither loopback nor any nor an address"),
            )
        }),
    }
}

/// Listens on the first port that is free, the one of last time before all others.
pub async fn listen(address: IpAddr, ports: Vec<u16>, last: Option<u16>) -> Result<TcpListener, UserError> {
    let mut ports = if ports.is_empty() {
        vec![DEFAULT_PORT]
    } else {
        ports
    };
    if let Some(last) = last
        && let Some(position) = ports.iter().position(|port| *port == last)
    {
        ports.swap(0, position);
    }
    let mut reason = String::new();
    for port in &ports {
        match bind(address, *port).await {
            Ok(listener) => return Ok(listener),
            Err(error) => reason = error.to_string(),
        }
    }
    let tried: Vec<String> = ports.iter().map(u16::to_string).collect();
    Err(UserError::failed(
        ids::UNEXPECTED_FAILURE,
        format!(
            "failed to listen on {address}, ports tried: {}: {reason}; choose another with --webservice-port",
            tried.join(", ")
        ),
    ))
}

async fn bind(address: IpAddr, port: u16) -> std::io::Result<TcpListener> {
    match TcpListener::bind(SocketAddr::new(address, port)).await {
        // A machine without IPv6 has only this any.
        Err(_) if address == IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
            TcpListener::bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)).await
        }
        bound => bound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_next_port_is_taken_when_one_is_in_use() {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let taken = TcpListener::bind((loopback, 0)).await.expect("a free port");
        let port = taken.local_addr().expect("bound").port();
        assert!(listen(loopback, vec![port], None).await.is_err());
        let other = listen(loopback, vec![port, 0], Some(port)).await;
        assert!(
            other.is_ok_and(|listener| listener.local_addr().is_ok_and(|address| address.port() != port))
        );
    }

    #[test]
    fn interfaces_have_names_or_are_addresses() {
        assert_eq!(address("loopback").ok(), Some(Ipv4Addr::LOCALHOST.into()));
        assert_eq!(address("ANY").ok(), Some(Ipv6Addr::UNSPECIFIED.into()));
        assert_eq!(address("10.0.0.1").ok(), Some(Ipv4Addr::new(10, 0, 0, 1).into()));
        assert!(address("eth0").is_err());
    }
}
