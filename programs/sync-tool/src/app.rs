// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From arguments to an exit code: 0 done, 255 stopped at the question, otherwise the number of files that failed or were left alone.

use std::{
    ffi::{OsStr, OsString},
    io::{BufRead, IsTerminal, Write},
    process::ExitCode,
    sync::Arc,
};

use duplicati_backends::{FileEntry, Files};
use duplicati_engine::{
    clock::{Clock, SystemClock},
    mirror::{Plan, plan},
    storage::StoreErrorKind,
};
use duplicati_programs_common::{Environment, Options, ParseContext, Question, question, target};
use jiff::{Timestamp, Zoned, tz::TimeZone};

use crate::{
    arguments::Arguments,
    copying::{self, Pair, Troubles, again},
};

const HELP: &str = "\
Usage: duplicati-sync-tool <source-url> <destination-url> [options]

Makes the destination a copy of the source, file by file; nothing is decrypted. Data is copied before what describes it.

  --confirm, --yes, -y        does not ask before files are replaced or removed
  --dry-run, -d               only says what would be done
  --force, -f                 replaces files that look newer at the destination; those of a backup are replaced anyway
  --retention                 keeps what would be removed under another name
  --verify-contents           compares files of the same size by their hash
  --verify-get-after-put      downloads each file after uploading it
  --auto-create-folders true  makes the destination's folder
  --retry 3, --backend-retries 3, --backend-retry-delay 1000, --backend-retry-with-exponential-backoff
  --global-options k=v …      options of both targets; --src-options and --dst-options for one of them
  --parse-arguments-only      checks the command line and ends
  --progress                  names each file

Exit codes: 0 done, 255 stopped at the question, otherwise the number of files that failed or were left alone (254 at most); 1 also for a wrong command line.
";

/// Requests move few bytes at once here.
const RUNTIME_THREADS: usize = 2;
/// The code for \"stopped at the question\".
const ABORTED: u8 = 255;

/// Runs the program with the arguments behind its name.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    match question(&arguments) {
        Some(Question::Version) => {
            println!("{}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Some(Question::Help) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        None if arguments.is_empty() => {
            print!("{HELP}");
            return ExitCode::FAILURE;
        }
        None => {}
    }
    let words: Vec<String> = arguments
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let code = Arguments::parse(&words).and_then(|arguments| carry_out(&arguments));
    code.map_or_else(
        |message| {
            eprintln!("{message}");
            ExitCode::FAILURE
        },
        ExitCode::from,
    )
}

fn carry_out(arguments: &Arguments) -> Result<u8, String> {
    let environment = Environment::from_process();
    let now = Timestamp::from_second(SystemClock.now().seconds)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_zoned(TimeZone::system());
    let pair = Pair {
        source: open(&arguments.source, &arguments.source_options, &environment, &now)?,
        destination: open(
            &arguments.destination,
            &arguments.destination_options,
            &environment,
            &now,
        )?,
    };
    if arguments.parse_only {
        return Ok(0);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .enable_all()
        .build()
        .map_err(|error| format!("failed to start the threads of the program: {error}"))?;
    let stamp = now.strftime(copying::STAMP).to_string();
    let outcome = runtime.block_on(synchronize(&pair, arguments, &stamp));
    runtime.shutdown_background();
    outcome
}

fn open(
    url: &str,
    options: &[OsString],
    environment: &Environment,
    now: &Zoned,
) -> Result<Arc<dyn Files>, String> {
    let context = ParseContext { environment, now };
    let options = Options::parse(options.to_vec(), &context).map_err(|error| error.to_string())?;
    let address = target::address_of(OsStr::new(url), &options, &environment.current_folder, now)
        .map_err(|error| error.to_string())?;
    duplicati_backends::open_files(&address).map_err(|error| target::open_error(&error).to_string())
}

async fn list(
    files: &Arc<dyn Files>,
    arguments: &Arguments,
    may_be_missing: bool,
) -> Result<Vec<FileEntry>, String> {
    match again(arguments, || files.list_files(true)).await {
        Err(error) if may_be_missing && error.kind == StoreErrorKind::NotFound => Ok(Vec::new()),
        other => {
            let mut entries = other.map_err(|error| error.to_string())?;
            entries.retain(|entry| !entry.is_folder);
            Ok(entries)
        }
    }
}

async fn synchronize(pair: &Pair, arguments: &Arguments, stamp: &str) -> Result<u8, String> {
    let source = list(&pair.source, arguments, false).await?;
    let destination = list(&pair.destination, arguments, arguments.auto_create_folders).await?;
    if source.is_empty() && !destination.is_empty() && !arguments.force {
        return Err(format!(
            "the source {} is empty and the destination is not; use --force if everything there should be removed",
            pair.source.location()
        ));
    }
    let mut plan = plan(source, destination, arguments.force);
    // They are all that is left of files that somebody wanted kept.
    plan.remove.retain(|entry| !copying::is_kept(&entry.path));
    let troubles = if arguments.verify_contents {
        copying::compare(pair, &mut plan, arguments).await
    } else {
        Troubles::default()
    };
    print_plan(&plan, arguments);
    if arguments.dry_run {
        return Ok(code_of(troubles.failed));
    }
    let harms = !plan.replace.is_empty() || !plan.remove.is_empty();
    if harms && !arguments.confirmed && !asked() {
        eprintln!("stopped; nothing was changed (use --confirm to answer in advance)");
        return Ok(ABORTED);
    }
    if arguments.auto_create_folders {
        again(arguments, || pair.destination.create_folder())
            .await
            .map_err(|error| error.to_string())?;
    }
    let failed = copying::carry_out(pair, &plan, troubles, arguments, stamp).await;
    println!("{failed} files failed");
    Ok(code_of(failed))
}

fn code_of(failed: u32) -> u8 {
    u8::try_from(failed).unwrap_or(ABORTED - 1).min(ABORTED - 1)
}

fn print_plan(plan: &Plan<FileEntry>, arguments: &Arguments) {
    let rows = [
        ("copy", &plan.copy),
        ("replace", &plan.replace),
        ("remove", &plan.remove),
        ("leave, newer there", &plan.newer),
    ];
    for (word, entries) in rows {
        let bytes: u64 = entries.iter().map(|entry| entry.size_bytes).sum();
        println!("{word}: {} files, {bytes} bytes", entries.len());
        if arguments.dry_run {
            for entry in entries {
                println!("  {}", entry.path);
            }
        }
    }
    println!("the same: {} files", plan.same.len());
}

/// Whether somebody says yes. Without a terminal nobody can.
fn asked() -> bool {
    if !std::io::stdin().is_terminal() {
        return false;
    }
    print!("Go on? [y/N] ");
    let _shown = std::io::stdout().flush();
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}
