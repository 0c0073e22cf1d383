// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Runs one program with a limit of time and of output.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::{
    Arc, Mutex, PoisonError,
    mpsc::{Receiver, RecvTimeoutError, channel},
};
use std::time::Duration;

/// What is kept of each of standard output and standard error, bytes. The rest is read, so that the program does not stand still, and dropped.
const OUTPUT_BYTES_MAX: usize = 1 << 20;
/// How long to wait for output after the program ended: something that it left in the background may hold the pipe open for ever.
const OUTPUT_GRACE: Duration = Duration::from_secs(2);

/// How a program ended.
#[derive(Debug)]
pub enum Ended {
    /// By itself, or by a signal.
    Exited {
        /// None when a signal ended it.
        code: Option<i32>,
        /// The signal that ended it.
        signal: Option<i32>,
        /// The first mebibyte of what it printed.
        stdout: Vec<u8>,
        /// The first mebibyte of its complaints.
        stderr: Vec<u8>,
    },
    /// It did not end in time, and goes on.
    TimedOut,
    /// The system refused, and why.
    NotStarted(String),
}

/// Starts `words` and waits for the end; for ever without a limit. A program that takes too long is left to itself.
pub fn run(words: &[OsString], variables: &[(OsString, OsString)], timeout: Option<Duration>) -> Ended {
    let Some((program, arguments)) = words.split_first() else {
        return Ended::NotStarted("no program is named".to_owned());
    };
    let spawned = Command::new(program)
        .args(arguments)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    match spawned {
        Ok(child) => wait(child, timeout),
        Err(error) => Ended::NotStarted(error.to_string()),
    }
}

fn wait(mut child: Child, timeout: Option<Duration>) -> Ended {
    let stdout = child.stdout.take().map(collect);
    let stderr = child.stderr.take().map(collect);
    let (sender, ended) = channel();
    std::thread::spawn(move || {
        // Nobody listens any more after a time-out; the wait still takes the dead process out of the table.
        let _listening = sender.send(child.wait());
    });
    let status = match timeout {
        Some(timeout) => ended.recv_timeout(timeout),
        None => ended.recv().map_err(|_| RecvTimeoutError::Disconnected),
    };
    match status {
        Ok(Ok(status)) => Ended::Exited {
            code: status.code(),
            signal: status.signal(),
            stdout: finish(stdout),
            stderr: finish(stderr),
        },
        Ok(Err(error)) => Ended::NotStarted(error.to_string()),
        Err(_) => Ended::TimedOut,
    }
}

/// Output that a thread collects.
struct Collected {
    kept: Arc<Mutex<Vec<u8>>>,
    /// Closed when the pipe ends.
    ended: Receiver<()>,
}

fn collect(mut pipe: impl Read + Send + 'static) -> Collected {
    let (sender, ended) = channel();
    let kept = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&kept);
    std::thread::spawn(move || {
        let _ended = sender;
        let mut buffer = [0; 8192];
        while let Ok(count) = pipe.read(&mut buffer) {
            if count == 0 {
                break;
            }
            let mut kept = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let taken = count.min(OUTPUT_BYTES_MAX - kept.len());
            kept.extend_from_slice(&buffer[..taken]);
        }
    });
    Collected { kept, ended }
}

/// What came until the pipe ended, or until the grace was over.
fn finish(collected: Option<Collected>) -> Vec<u8> {
    let Some(Collected { kept, ended }) = collected else {
        return Vec::new();
    };
    let _over = ended.recv_timeout(OUTPUT_GRACE);
    std::mem::take(&mut kept.lock().unwrap_or_else(PoisonError::into_inner))
}
