// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Commands inside of another program: the same parsing, the same work, the same results as on the command line, with the output handed over.
//!
//! A call runs on a thread and a runtime of its own, so that a backup cannot starve whoever asked for it.

use std::{
    ffi::OsString,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use duplicati_actors::{control::RunControl, events::Progress};
use duplicati_programs_common::{
    Environment, ExitCode, Options, ParseContext, UserError,
    commands::{self, CommandSpec},
    error_id::ids,
    scripts::ScriptSettings,
};
use serde_json::Value;

pub use crate::logging::{HeardLine, Level, LineListener};
use crate::{
    app,
    connection::Target,
    failure::{Failure, Outcome, failed},
    invocation::{Invocation, system_clock, zoned_now},
    logging::Log,
    output::Console,
    reports, results, unsupported,
};

/// What a command may print before it is ended, bytes; a listing longer than this is asked for in parts.
const OUTPUT_BYTES_MAX: usize = 128 << 20;
/// Threads of a command's runtime; what needs the processor runs on threads of its own.
const RUNTIME_THREADS: usize = 2;

/// One command to be carried out.
pub struct Call {
    /// As on the command line, without the program's name.
    pub arguments: Vec<OsString>,
    pub environment: Environment,
    pub control: RunControl,
    /// Counters to watch.
    pub progress: Arc<Progress>,
    /// Who hears the log.
    pub listener: LineListener,
    /// Whether output is one JSON object per line; else it is text.
    pub is_json: bool,
}

/// How a call ended.
pub struct End {
    pub exit_code: ExitCode,
    /// Lines of output.
    pub lines: Vec<String>,
    /// Why there is no result.
    pub error: Option<UserError>,
}

impl End {
    fn failed(error: UserError) -> Self {
        Self {
            exit_code: error.exit_code,
            lines: Vec::new(),
            error: Some(error),
        }
    }

    /// The objects of a type among the lines.
    pub fn objects(&self, kind: &str) -> Vec<Value> {
        self.lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|value| value["type"] == kind)
            .collect()
    }
}

/// What a look at a destination found, without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    pub folder_exists: bool,
    /// Whether nothing at all is there.
    pub is_empty: bool,
    pub has_repository: bool,
    pub is_encrypted: bool,
}

/// What a repository takes at its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    pub objects: u64,
    pub bytes: u64,
}

/// Runs a command to its end. Blocks; call it from a thread that may.
pub fn run(call: Call) -> End {
    let output = Captured::default();
    let prepared = prepare(call, Box::new(output.clone()));
    let mut invocation = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return End::failed(error),
    };
    let outcome = invocation
        .check_temporary_folder()
        .and_then(|()| app::surrounded(&mut invocation))
        .and_then(|code| {
            let code = crate::results::final_code(&invocation, code);
            if let Some(result) = invocation.kept_result() {
                results::print(&invocation, result, code)?;
            }
            invocation.console.flush()?;
            Ok(code)
        });
    let (exit_code, error) = match outcome {
        Ok(code) => (code, None),
        Err(Failure::User(error)) => {
            invocation.log.failure(&error);
            (error.exit_code, Some(error))
        }
        Err(Failure::OutputClosed) => {
            let message = format!("the output of the command is longer than {OUTPUT_BYTES_MAX} bytes");
            (
                ExitCode::Failed,
                Some(UserError::failed(ids::UNEXPECTED_FAILURE, message)),
            )
        }
    };
    // Flushed above unless that failed; what is lost then has no reader.
    let _kept = invocation.console.flush();
    End {
        exit_code,
        lines: output.lines(),
        error,
    }
}

/// Looks at the destination of a command line without opening a repository. With `create` a missing folder is made.
///
/// # Errors
/// When the destination does not answer.
pub fn look(call: Call, create: bool) -> Result<Look, UserError> {
    at_target(call, async |target| {
        if create {
            target.store.prepare(true).await?;
        }
        if let Err(error) = target.store.prepare(false).await {
            if error.kind == duplicati_engine::storage::StoreErrorKind::NotFound {
                return Ok(Look {
                    folder_exists: false,
                    is_empty: true,
                    has_repository: false,
                    is_encrypted: false,
                });
            }
            return Err(error.into());
        }
        let config = duplicati_engine::storage::ObjectName::CONFIG;
        let content = match target.store.get(&config, None).await {
            Ok(content) => Some(content),
            Err(error) if error.kind == duplicati_engine::storage::StoreErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let foreign = target.store.list_foreign_root().await?;
        let is_encrypted = content.as_deref().is_some_and(|content| {
            serde_json::from_slice::<Value>(content).is_ok_and(|config| config["encryption"] == "age")
        });
        Ok(Look {
            folder_exists: true,
            is_empty: content.is_none() && foreign.is_empty(),
            has_repository: content.is_some(),
            is_encrypted,
        })
    })
}

/// Counts what a repository's destination holds.
///
/// # Errors
/// When the destination does not answer.
pub fn size(call: Call) -> Result<Size, UserError> {
    at_target(call, async |target| {
        let mut size = Size::default();
        for kind in duplicati_engine::storage::ObjectKind::ALL {
            let listing = target.store.list(kind).await?;
            for object in listing.objects {
                size.objects += 1;
                size.bytes += object.size_bytes;
            }
        }
        Ok(size)
    })
}

/// Removes everything of a repository from its destination, the description that makes it one first.
///
/// # Errors
/// When the destination does not answer.
pub fn remove_repository(call: Call) -> Result<Size, UserError> {
    use duplicati_engine::storage::{ObjectKind, ObjectName};
    at_target(call, async |target| {
        let mut removed = Size::default();
        // Versions go first: a removal that is cut off leaves no version that lacks its data.
        let kinds = ObjectKind::ALL
            .into_iter()
            .filter(|kind| *kind != ObjectKind::Snapshot);
        for kind in std::iter::once(ObjectKind::Snapshot).chain(kinds) {
            for object in target.store.list(kind).await?.objects {
                target.store.delete(&object.name).await?;
                removed.objects += 1;
                removed.bytes += object.size_bytes;
            }
        }
        target.store.delete(&ObjectName::CONFIG).await?;
        Ok(removed)
    })
}

fn at_target<T>(call: Call, work: impl AsyncFnOnce(Target) -> Outcome<T>) -> Result<T, UserError> {
    let invocation = prepare(call, Box::new(io::sink()))?;
    let outcome = on_runtime(async {
        let target = Target::of(&invocation)?;
        work(target).await
    });
    outcome.map_err(|failure| match failure {
        Failure::User(error) => error,
        Failure::OutputClosed => UserError::failed(ids::UNEXPECTED_FAILURE, "the output was closed"),
    })
}

fn on_runtime<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .enable_all()
        .build()
        .map_err(|error| {
            failed(
                ids::UNEXPECTED_FAILURE,
                format!("failed to start the threads of the command: {error}"),
            )
        })?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_background();
    outcome
}

fn prepare(call: Call, output: Box<dyn Write + Send>) -> Result<Invocation, UserError> {
    let Call {
        arguments,
        environment,
        control,
        progress,
        listener,
        is_json,
    } = call;
    let clock = system_clock();
    let begin = zoned_now(clock.as_ref());
    let context = ParseContext {
        environment: &environment,
        now: &begin,
    };
    let options = Options::parse(arguments, &context)?;
    let spec: &'static CommandSpec = commands::check_arguments(options.positional())?;
    spec.check_needed_options(&options)?;
    unsupported::check(&options)?;
    let console = Arc::new(Console::embedded(is_json, output));
    let scripts = ScriptSettings::from_options(&options);
    let listeners = reports::listeners(&reports::settings(&options)?, &scripts);
    let log = Log::new(
        spec,
        &options,
        Arc::clone(&console),
        Arc::clone(&clock),
        &listeners,
    )?
    .heard_by(listener);
    let invocation = Invocation {
        spec,
        options,
        environment,
        clock,
        begin,
        console,
        log: Arc::new(log),
        control,
        scripts,
        result: Mutex::default(),
        watched: Some(progress),
    };
    for warning in invocation.options.warnings() {
        invocation.log.warning("OptionWithoutEffect", warning);
    }
    Ok(invocation)
}

/// Output kept in memory, up to a limit.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    fn lines(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        String::from_utf8_lossy(&bytes)
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() + bytes.len() > OUTPUT_BYTES_MAX {
            return Err(io::Error::from(io::ErrorKind::BrokenPipe));
        }
        kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
