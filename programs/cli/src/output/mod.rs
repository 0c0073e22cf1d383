// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Everything that a person or a program reads from standard output: lines of text, or one JSON object per line.

pub mod json;
pub mod progress;
pub mod text;

use std::{
    fmt::Display,
    io::{self, BufWriter, IsTerminal, Write},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use duplicati_programs_common::Options;
use indicatif::ProgressBar;
use serde::Serialize;

type Output = BufWriter<Box<dyn Write + Send>>;

/// The output of one program.
pub struct Console {
    is_json: bool,
    is_quiet: bool,
    errors_to_terminal: bool,
    /// Whether another program of this process reads the output; it watches counters itself and wants no lines about them.
    is_embedded: bool,
    /// Whether the work goes on when nobody reads any more: a backup must not end because a pipe did, and its exit code still says how it went.
    outlives_reader: AtomicBool,
    output: Mutex<Output>,
    bar: Mutex<Option<ProgressBar>>,
}

impl Console {
    /// The console as the options want it.
    pub fn new(options: &Options) -> Self {
        Self {
            is_json: options.bool("json"),
            is_quiet: options.bool("quiet-console"),
            errors_to_terminal: io::stderr().is_terminal(),
            is_embedded: false,
            outlives_reader: AtomicBool::new(false),
            output: Mutex::new(BufWriter::new(Box::new(io::stdout()))),
            bar: Mutex::new(None),
        }
    }

    /// A console that hands its lines to another part of this process.
    pub fn embedded(is_json: bool, output: Box<dyn Write + Send>) -> Self {
        Self {
            is_json,
            is_quiet: false,
            errors_to_terminal: false,
            is_embedded: true,
            outlives_reader: AtomicBool::new(false),
            output: Mutex::new(BufWriter::new(output)),
            bar: Mutex::new(None),
        }
    }

    /// Whether progress is shown here at all.
    pub fn shows_progress(&self) -> bool {
        !self.is_quiet && !self.is_embedded
    }

    /// Whether output is JSON.
    pub fn is_json(&self) -> bool {
        self.is_json
    }

    /// Whether only errors are printed.
    pub fn is_quiet(&self) -> bool {
        self.is_quiet
    }

    /// Whether a person watches, so that a moving bar makes sense.
    pub fn shows_bar(&self) -> bool {
        self.errors_to_terminal && !self.is_json && !self.is_quiet
    }

    /// Prints a line of text at once; nothing in JSON or quiet mode.
    pub fn line(&self, text: impl Display) -> io::Result<()> {
        self.row(text)?;
        self.flush()
    }

    /// Prints one of many lines, which may wait for the next [`flush`](Self::flush).
    pub fn row(&self, text: impl Display) -> io::Result<()> {
        if self.is_json || self.is_quiet {
            return Ok(());
        }
        self.undisturbed(|output| writeln!(output, "{text}"))
    }

    /// Prints a line that nobody depends on: a reader that has gone is not an error.
    pub fn notice(&self, text: impl Display) {
        let _seen_or_not = self.line(text);
    }

    /// Prints a JSON object as a line; nothing in text mode.
    pub fn json(&self, value: &impl Serialize) -> io::Result<()> {
        if !self.is_json || self.is_quiet {
            return Ok(());
        }
        let mut line = serde_json::to_vec(value).map_err(io::Error::other)?;
        line.push(b'\n');
        self.undisturbed(|output| output.write_all(&line))
    }

    /// Writes bytes of content, whatever the mode.
    pub fn raw(&self, bytes: &[u8]) -> io::Result<()> {
        self.undisturbed(|output| output.write_all(bytes))
    }

    /// Prints a line to standard error.
    pub fn error_line(&self, text: impl Display) {
        if self.is_embedded {
            return;
        }
        let print = || {
            let _seen_or_not = writeln!(io::stderr().lock(), "{text}");
        };
        match &*self.lock_bar() {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Writes out what waits.
    pub fn flush(&self) -> io::Result<()> {
        self.settle(self.lock_output().flush())
    }

    /// From now on a reader that has gone is no error.
    pub fn outlive_reader(&self) {
        self.outlives_reader.store(true, Ordering::Relaxed);
    }

    fn settle(&self, written: io::Result<()>) -> io::Result<()> {
        match written {
            Err(error)
                if error.kind() == io::ErrorKind::BrokenPipe
                    && self.outlives_reader.load(Ordering::Relaxed) =>
            {
                Ok(())
            }
            written => written,
        }
    }

    fn undisturbed(&self, write: impl FnOnce(&mut Output) -> io::Result<()>) -> io::Result<()> {
        let bar = self.lock_bar();
        let written = match &*bar {
            Some(bar) => bar.suspend(|| {
                let mut output = self.lock_output();
                write(&mut output)?;
                output.flush()
            }),
            None => write(&mut self.lock_output()),
        };
        self.settle(written)
    }

    fn lock_output(&self) -> MutexGuard<'_, Output> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_bar(&self) -> MutexGuard<'_, Option<ProgressBar>> {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a bar below all lines, or takes it away.
    pub fn set_bar(&self, bar: Option<ProgressBar>) {
        *self.lock_bar() = bar;
    }
}
